//! Messages: what they are about, and those that have come or are under way.

use ::mpi::point_to_point::Source;
use ::mpi::request::{Request, StaticScope};
use ::mpi::topology::{Communicator, SimpleCommunicator};

/// The tags of messages.
pub mod tag {
    /// A part of an exchange.
    pub const EXCHANGE: i32 = 1;
    /// The sender has failed; its text says why.
    pub const FAILED: i32 = 2;
    /// The exit status of all processes.
    pub const END: i32 = 3;
    /// The sender is busy, and lives.
    pub const ALIVE: i32 = 4;
    /// The sender has given up waiting, for the processes in the message.
    pub const SILENT: i32 = 5;
}

/// A message under way.
pub type Message = Request<'static, [u8], StaticScope>;

/// A message of one kind that has come, and its sender.
pub fn taken(world: &SimpleCommunicator, tag: i32) -> Option<(usize, Vec<u8>)> {
    let sender = world
        .any_process()
        .immediate_probe_with_tag(tag)?
        .source_rank();
    let (message, _) = world
        .process_at_rank(sender)
        .receive_vec_with_tag::<u8>(tag);
    Some((sender as usize, message))
}

/// The messages that have neither come nor gone.
pub fn under_way(messages: Vec<(usize, Message)>) -> Vec<(usize, Message)> {
    let messages = messages.into_iter();
    messages
        .filter_map(|(rank, message)| Some((rank, message.test().err()?)))
        .collect()
}

/// # Safety
///
/// The slice must not be used after its vector.
pub unsafe fn forever(bytes: &[u8]) -> &'static [u8] {
    unsafe { &*std::ptr::from_ref(bytes) }
}

/// # Safety
///
/// The slice must not be used after its vector, and the vector not while the slice is.
pub unsafe fn forever_mut(bytes: &mut [u8]) -> &'static mut [u8] {
    unsafe { &mut *std::ptr::from_mut(bytes) }
}
