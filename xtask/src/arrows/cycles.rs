//! Loops in a graph of files.

/// The strongly connected components of more than one node, each in ascending order.
///
/// Two nodes are in one component if each can be reached from the other.
pub fn cycles(nodes: usize, arrows: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut next = vec![Vec::new(); nodes];
    for (from, to) in arrows {
        next[from].push(to);
    }
    let reached: Vec<Vec<bool>> = (0..nodes).map(|node| reachable(node, &next)).collect();
    let component = |node: usize| -> Vec<usize> {
        let mutual = |&other: &usize| reached[node][other] && reached[other][node];
        (0..nodes).filter(mutual).collect()
    };
    let components = (0..nodes).map(|node| (node, component(node)));
    components
        .filter(|(node, component)| component.len() > 1 && component[0] == *node)
        .map(|(_, component)| component)
        .collect()
}

/// What can be reached from a node by one arrow or more.
fn reachable(node: usize, next: &[Vec<usize>]) -> Vec<bool> {
    let mut reached = vec![false; next.len()];
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        for &node in &next[node] {
            if !std::mem::replace(&mut reached[node], true) {
                open.push(node);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::cycles;

    #[test]
    fn loops_are_found_whole_and_apart() {
        let arrows = [
            (0, 1),
            (1, 2),
            (2, 0),
            (2, 3),
            (3, 4),
            (4, 3),
            (5, 0),
            (6, 6),
        ];
        assert_eq!(cycles(7, arrows.into_iter()), [vec![0, 1, 2], vec![3, 4]]);
    }

    #[test]
    fn an_acyclic_graph_has_none() {
        let arrows = [(0, 1), (0, 2), (1, 3), (2, 3)];
        assert!(cycles(4, arrows.into_iter()).is_empty());
    }
}
