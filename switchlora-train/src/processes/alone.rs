//! A process that trains alone.

use super::{Lost, Processes};
use std::sync::Arc;

/// One process without others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Processes for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn local_rank(&self) -> usize {
        0
    }

    fn machines(&self) -> usize {
        1
    }

    fn name(&self, rank: usize) -> String {
        format!("process {rank}")
    }

    fn exchange(
        &self,
        _outgoing: &[Arc<Vec<u8>>],
        _incoming: &[usize],
    ) -> Result<Vec<Vec<u8>>, Lost> {
        Ok(vec![Vec::new()])
    }

    fn busy(&self, work: &mut dyn FnMut()) {
        work();
    }

    fn lost(&self) -> Option<Lost> {
        None
    }

    fn fail(&self, _message: &str) {}

    fn end(&self, status: u8) -> u8 {
        status
    }
}
