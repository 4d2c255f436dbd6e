//! Groups parts into rounds. A thread of its own reads ahead while earlier rounds are encoded.

use super::super::DataError;
use super::super::read::Malformed;
use super::parts::{Part, Parts, Position};
use super::side::{Side, side};
use std::sync::mpsc::SyncSender;

/// Bytes of text in a round: enough to keep all cores busy, and little memory.
const ROUND: usize = 4 << 20;

/// Consecutive parts, each with the output file of its document.
#[derive(Debug)]
pub(super) struct Round {
    pub parts: Vec<(Part, Side)>,
    /// The position after the parts.
    pub after: Position,
    /// Malformed lines and rows up to that position.
    pub malformed: Malformed,
}

/// Which documents are held out. Its `Debug` text is part of the key of half-done work (`progress::key`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeldOut {
    /// All documents of the inputs from this index on.
    pub from: usize,
    /// This share of the documents of the inputs before.
    pub share: f64,
}

/// Reads rounds from `position` on and sends them, until the end, the first error, or until the receiver is dropped.
pub(super) fn read(
    parts: Parts,
    position: Position,
    held_out: HeldOut,
    rounds: &SyncSender<Result<Round, DataError>>,
) {
    if let Err(error) = send(parts, position, held_out, rounds) {
        let _ = rounds.send(Err(error));
    }
}

fn send(
    mut parts: Parts,
    position: Position,
    held_out: HeldOut,
    rounds: &SyncSender<Result<Round, DataError>>,
) -> Result<(), DataError> {
    let decide = |parts: &Parts, part: &Part| match parts.position().input >= held_out.from {
        true => Side::Validation,
        false => side(part, held_out.share),
    };
    let first = parts.seek(position)?;
    let mut current = first.map_or(Side::Train, |part| decide(&parts, &part));
    let mut ended = false;
    while !ended {
        let mut round = Vec::new();
        let mut bytes = 0;
        while bytes < ROUND {
            let Some(part) = parts.next()? else {
                ended = true;
                break;
            };
            if part.first {
                current = decide(&parts, &part);
            }
            bytes += part.text.len();
            round.push((part, current));
        }
        let round = Round {
            parts: round,
            after: parts.position(),
            malformed: parts.malformed.clone(),
        };
        if rounds.send(Ok(round)).is_err() {
            break;
        }
    }
    Ok(())
}
