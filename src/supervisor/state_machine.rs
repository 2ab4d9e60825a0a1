//! The state machine of an application: every step it may take, in one table.

use std::time::Instant;

use crate::protocol::State;

/// Where an application stands, since when, and why if it is in error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The state.
    pub state: State,
    /// Why, in `error`.
    pub reason: Option<String>,
    /// Since when, by the clock that nobody puts back.
    pub since: Instant,
}

impl Standing {
    /// In `state` from now on.
    #[must_use]
    pub(crate) fn now(state: State) -> Self {
        Self { state, reason: None, since: Instant::now() }
    }
}

/// Whether an application may go from one state to another.
///
/// - It comes into being as `preparing` (its database is made), goes on as `initializing` (tables
///   and root user) and is `initialized` when it is whole. What fails on the way is taken back:
///   `not_found`.
/// - A start is `initializing` again, and ends as `running` or in `error`.
/// - From `running` an operator's stop leads to `stopped`, an idle stop or the daemon's end to
///   `initialized`: the difference is that visits start the one and not the other.
/// - `commanding` is lent to a command on a complete application and goes back to rest.
/// - Deleting leads to `not_found` from every state of rest, undeleting from there to rest.
#[must_use]
pub(crate) const fn may_go(from: State, to: State) -> bool {
    use State::{Commanding, Error, Initialized, Initializing, NotFound, Preparing, Running, Stopped};
    match from {
        NotFound => matches!(to, Preparing | Initialized | Stopped),
        Preparing => matches!(to, Initializing | NotFound | Error),
        Initializing => matches!(to, Initialized | Running | NotFound | Error),
        Initialized => matches!(to, Initializing | Commanding | Stopped | NotFound),
        Running => matches!(to, Initialized | Stopped | Error),
        Commanding => matches!(to, Initialized | Stopped | Error),
        Stopped => matches!(to, Initializing | Commanding | Initialized | NotFound),
        Error => matches!(to, Initializing | Commanding | Stopped | Initialized | NotFound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_to_where_it_is() {
        for state in State::ALL {
            assert!(!may_go(state, state), "{state}");
        }
    }

    #[test]
    fn every_state_is_reached_and_left() {
        for state in State::ALL {
            assert!(State::ALL.iter().any(|&from| may_go(from, state)), "{state} is never reached");
            assert!(State::ALL.iter().any(|&to| may_go(state, to)), "{state} is never left");
        }
    }

    #[test]
    fn a_running_application_is_never_simply_gone() {
        for held in [State::Running, State::Commanding] {
            assert!(!may_go(held, State::NotFound), "{held}");
        }
    }

    #[test]
    fn only_a_start_leads_to_running() {
        let before: Vec<_> = State::ALL.into_iter().filter(|&from| may_go(from, State::Running)).collect();
        assert_eq!(before, [State::Initializing]);
    }
}
