//! Parts in rounds, read by a thread of its own while the rounds before are encoded.

use super::super::DataError;
use super::malformed::Malformed;
use super::parts::{Part, Parts, Position};
use super::side::{Side, side};
use std::sync::mpsc::SyncSender;

/// Bytes of text in a round: enough for every core, little in memory.
const ROUND: usize = 4 << 20;

/// Some parts in their order, each with where it goes.
#[derive(Debug)]
pub(super) struct Round {
    pub parts: Vec<(Part, Side)>,
    /// The place after them.
    pub after: Position,
    /// What was passed over up to there.
    pub malformed: Malformed,
}

/// Which documents are held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeldOut {
    /// Those of this input and the ones after it.
    pub from: usize,
    /// And of those before, this share.
    pub share: f64,
}

/// Reads from `place` on until there is nothing more, something is wrong, or nobody takes the rounds.
pub(super) fn read(
    mut parts: Parts,
    place: Position,
    held_out: HeldOut,
    rounds: &SyncSender<Result<Round, DataError>>,
) {
    let decide = |parts: &Parts, part: &Part| match parts.position().input >= held_out.from {
        true => Side::Validation,
        false => side(part, held_out.share),
    };
    let mut current = match parts.seek(place) {
        Ok(began) => began.map_or(Side::Train, |part| decide(&parts, &part)),
        Err(error) => {
            let _ = rounds.send(Err(error));
            return;
        }
    };
    loop {
        let mut round = Vec::new();
        let mut bytes = 0;
        let ended = loop {
            let part = match parts.next() {
                Ok(Some(part)) => part,
                Ok(None) => break true,
                Err(error) => {
                    let _ = rounds.send(Err(error));
                    return;
                }
            };
            if part.first {
                current = decide(&parts, &part);
            }
            bytes += part.text.len();
            round.push((part, current));
            if bytes >= ROUND {
                break false;
            }
        };
        let round = Round {
            parts: round,
            after: parts.position(),
            malformed: parts.malformed.clone(),
        };
        if rounds.send(Ok(round)).is_err() || ended {
            return;
        }
    }
}
