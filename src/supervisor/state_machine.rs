//! The state machine of an application: all transitions, in one table.

use std::time::Instant;

use crate::protocol::State;

/// The state in which an application is, since when, and why if it is `error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentState {
    /// The state.
    pub state: State,
    /// Why, in `error`.
    pub reason: Option<String>,
    /// Since when, by the monotonic clock.
    pub since: Instant,
}

impl CurrentState {
    /// A state that begins now.
    #[must_use]
    pub(crate) fn now(state: State) -> Self {
        Self { state, reason: None, since: Instant::now() }
    }
}

/// Whether an application may change from one state to another.
///
/// - A creation goes from `preparing` (the database is created) to `initializing` (tables and root user) and
///   `initialized`. If it fails, it is rolled back: `not_found`.
/// - A start is `initializing`, too, and ends in `running` or `error`.
/// - From `running`, an operator's stop leads to `stopped`, an idle stop or the daemon's end to `initialized`. A
///   visit starts an application that is `initialized`, but not one that is `stopped`.
/// - `commanding` lasts as long as a command on a complete application.
/// - Deleting leads from every state but the active ones to `not_found`, undeleting from there to
///   `initialized` or `stopped`.
#[must_use]
pub(crate) const fn may_transition(from: State, to: State) -> bool {
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
    fn no_state_changes_to_itself() {
        for state in State::ALL {
            assert!(!may_transition(state, state), "{state}");
        }
    }

    #[test]
    fn every_state_can_be_reached_and_left() {
        for state in State::ALL {
            assert!(State::ALL.iter().any(|&from| may_transition(from, state)), "{state} is never reached");
            assert!(State::ALL.iter().any(|&to| may_transition(state, to)), "{state} is never left");
        }
    }

    #[test]
    fn a_running_application_is_stopped_before_it_is_deleted() {
        for held in [State::Running, State::Commanding] {
            assert!(!may_transition(held, State::NotFound), "{held}");
        }
    }

    #[test]
    fn only_a_start_leads_to_running() {
        let before: Vec<_> =
            State::ALL.into_iter().filter(|&from| may_transition(from, State::Running)).collect();
        assert_eq!(before, [State::Initializing]);
    }
}
