//! Counts and bytes as text, for people.

/// Formats a count in millions: `1,339.5 M`.
pub fn millions(count: u64) -> String {
    format!("{} M", tenths(count as f64 / 1e6))
}

/// Formats bytes: `4.2 GiB`, or `97.5 MiB` below one GiB.
pub fn bytes(count: u64) -> String {
    const MIB: f64 = (1u64 << 20) as f64;
    match count as f64 / MIB {
        mib if mib < 1024.0 => format!("{} MiB", tenths(mib)),
        mib => format!("{} GiB", tenths(mib / 1024.0)),
    }
}

/// Formats a number with one decimal and a comma before every three digits.
fn tenths(value: f64) -> String {
    let text = format!("{value:.1}");
    let whole = text.len() - 2;
    let mut grouped = String::new();
    for (index, digit) in text.char_indices() {
        if index > 0 && index < whole && (whole - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_megabytes_below_a_gigabyte_and_numbers_have_commas() {
        assert_eq!(
            (millions(0), millions(999_949), millions(1_234_567_890_123)),
            ("0.0 M".into(), "1.0 M".into(), "1,234,567.9 M".into())
        );
        assert_eq!(
            (bytes(0), bytes(1 << 30), bytes(1023 << 20)),
            ("0.0 MiB".into(), "1.0 GiB".into(), "1,023.0 MiB".into())
        );
    }
}
