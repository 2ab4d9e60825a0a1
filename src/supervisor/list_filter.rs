//! Which applications a list is of: those in some states for which conditions hold.

use crate::protocol::{AppId, Condition, ConditionField, DatabaseMode, State};

use super::registry::{Provision, Registration};

/// The filter of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListFilter<'a> {
    /// The states; empty for all.
    pub(super) states: &'a [State],
    /// All of these hold.
    pub(super) conditions: &'a [Condition],
}

/// What of an application conditions compare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a AppId,
    pub(super) name: &'a str,
    pub(super) state: State,
    pub(super) engine: &'static str,
    pub(super) registration: &'a Registration,
}

impl ListFilter<'_> {
    /// Whether every application passes.
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.conditions.is_empty()
    }

    /// Whether an application passes.
    pub(super) fn passes(&self, candidate: &Candidate<'_>) -> bool {
        self.passes_state(candidate.state)
            && self
                .conditions
                .iter()
                .filter(|condition| condition.field != ConditionField::State)
                .all(|condition| candidate.fulfils(condition))
    }

    /// Whether an application passes in this state, as far as its state says.
    pub(super) fn passes_state(&self, state: State) -> bool {
        let is_listed = self.states.is_empty() || self.states.contains(&state);
        let mut conditions = self.conditions.iter();
        is_listed
            && conditions.all(|condition| {
                condition.field != ConditionField::State || condition.holds(std::iter::once(state.as_str()))
            })
    }
}

impl Candidate<'_> {
    fn fulfils(&self, condition: &Condition) -> bool {
        let registration = self.registration;
        let one = |value: &str| condition.holds(std::iter::once(value));
        match &condition.field {
            ConditionField::Id => one(self.id.as_str()),
            ConditionField::Name => one(self.name),
            ConditionField::State => one(self.state.as_str()),
            ConditionField::Engine => one(self.engine),
            ConditionField::Mode => {
                let mode = registration.provision.as_ref().map_or(DatabaseMode::Database, Provision::mode);
                one(mode.as_str())
            }
            ConditionField::StartMode => one(registration.start_mode().as_str()),
            ConditionField::Domain => condition.holds(registration.domains().iter().map(String::as_str)),
            ConditionField::Protected => one(if registration.protected() { "yes" } else { "no" }),
            ConditionField::Label(key) => {
                let labels = registration.labels();
                condition.holds(labels.get(key).map(String::as_str).into_iter())
            }
        }
    }
}
