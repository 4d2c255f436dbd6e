//! What each of a sequence of signals asks for.

use std::time::{Duration, Instant};

/// Keys closer together are one: a wrapper passes on a Ctrl-C that the terminal has sent already.
const APART: Duration = Duration::from_millis(500);

/// What a program is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Save what is done, and end.
    Stop,
    /// End at once: a person has pressed a key twice.
    EndNow,
}

/// The requests of a sequence of signals.
#[derive(Debug, Default)]
pub(super) struct Requests {
    asked: bool,
    /// When the first key was pressed.
    key: Option<Instant>,
}

impl Requests {
    /// What the next signal asks for; `None` if it only repeats a request. `key` says that a person sent it.
    pub fn next(&mut self, key: bool, now: Instant) -> Option<Request> {
        let first = !std::mem::replace(&mut self.asked, true);
        match (key, self.key) {
            (false, _) => first.then_some(Request::Stop),
            (true, None) => {
                self.key = Some(now);
                Some(Request::Stop)
            }
            (true, Some(before)) => (now - before >= APART).then_some(Request::EndNow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_a_second_key_ends_at_once_whatever_else_comes(
            signals in prop::collection::vec((prop::bool::weighted(0.3), 0..900u64), 1..40),
        ) {
            let mut requests = Requests::default();
            let (mut now, mut first_key) = (Instant::now(), None);
            for (number, (key, gap)) in signals.into_iter().enumerate() {
                now += Duration::from_millis(gap);
                let request = requests.next(key, now);
                let second = key && first_key.is_some_and(|first| now - first >= APART);
                prop_assert_eq!(request == Some(Request::EndNow), second);
                let stop = number == 0 || (key && first_key.is_none());
                prop_assert_eq!(request == Some(Request::Stop), stop);
                if key && first_key.is_none() {
                    first_key = Some(now);
                }
            }
        }
    }
}
