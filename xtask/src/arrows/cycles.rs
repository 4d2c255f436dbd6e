//! Finds loops in a graph.

use std::collections::{BTreeSet, VecDeque};

/// Returns a shortest loop through each node that is in a loop, without duplicates, sorted by length.
///
/// A loop is a list of its nodes in the order of the arrows, starting with the smallest.
pub fn shortest_loops(
    nodes: usize,
    arrows: impl Iterator<Item = (usize, usize)>,
) -> Vec<Vec<usize>> {
    let mut next = vec![Vec::new(); nodes];
    for (from, to) in arrows {
        next[from].push(to);
    }
    let loops: BTreeSet<Vec<usize>> = (0..nodes)
        .filter_map(|node| shortest_loop(node, &next))
        .collect();
    let mut loops = Vec::from_iter(loops);
    loops.sort_by_key(Vec::len);
    loops
}

/// Searches breadth first from `start` until it is reached again.
fn shortest_loop(start: usize, next: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came_from = vec![None; next.len()];
    let mut open = VecDeque::from([start]);
    while came_from[start].is_none() {
        let node = open.pop_front()?;
        for &to in &next[node] {
            if came_from[to].is_none() {
                came_from[to] = Some(node);
                open.push_back(to);
            }
        }
    }
    let back = |&node: &usize| came_from[node].filter(|&before| before != start);
    let mut nodes: Vec<usize> = std::iter::successors(came_from[start], back).collect();
    // A loop of one node is its own predecessor.
    nodes.retain(|&node| node != start);
    nodes.push(start);
    nodes.reverse();
    let smallest = (0..nodes.len()).min_by_key(|&at| nodes[at])?;
    nodes.rotate_left(smallest);
    Some(nodes)
}

#[cfg(test)]
mod tests {
    use super::shortest_loops;

    #[test]
    fn every_node_on_a_loop_shows_a_shortest_one() {
        let arrows = [
            (2, 1),
            (1, 3),
            (3, 2),
            (3, 4),
            (4, 5),
            (5, 4),
            (6, 1),
            (0, 6),
        ];
        let expected = [vec![4, 5], vec![1, 3, 2]];
        assert_eq!(shortest_loops(7, arrows.into_iter()), expected);
    }

    #[test]
    fn a_graph_whose_arrows_run_one_way_has_none() {
        let arrows = [(0, 1), (0, 2), (1, 3), (2, 3)];
        assert!(shortest_loops(4, arrows.into_iter()).is_empty());
    }
}
