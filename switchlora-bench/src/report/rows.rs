//! Rows in groups.

/// Groups rows by a key; keys and rows stay in the order of their first occurrence.
pub fn groups<'a, T, K: PartialEq>(
    rows: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> Vec<(K, Vec<&'a T>)> {
    let mut groups: Vec<(K, Vec<&T>)> = Vec::new();
    for row in rows {
        let key = key(row);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    groups
}

/// The index of each row's key among the distinct keys.
pub fn places<'a, T, K: PartialEq>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<usize> {
    let mut known = Vec::new();
    let place = |row: &'a T| {
        let key = key(row);
        known
            .iter()
            .position(|other| *other == key)
            .unwrap_or_else(|| {
                known.push(key);
                known.len() - 1
            })
    };
    rows.iter().map(place).collect()
}

/// A method and its rank, if it has one.
pub fn ranked(method: &str, rank: Option<usize>) -> String {
    rank.map_or(method.to_owned(), |rank| format!("{method}, rank {rank}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_their_first_rows() {
        let rows = ["b1", "a1", "b2"];
        let groups = groups(&rows, |row| row.chars().next());
        let expected = [(Some('b'), vec![&"b1", &"b2"]), (Some('a'), vec![&"a1"])];
        assert_eq!(groups, expected);
    }

    #[test]
    fn rows_with_one_key_have_one_place() {
        assert_eq!(places(&["b", "a", "b"], |row| *row), [0, 1, 0]);
    }
}
