//! Waiting: for the end of an operation, and for a state of an application.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{AppId, Application, State};

/// How long a call waits for its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wait {
    /// Whether to answer only when the operation has ended.
    pub wait: bool,
    /// The longest wait, in milliseconds; the operation goes on after that.
    pub timeout_ms: u64,
}

impl Default for Wait {
    fn default() -> Self {
        Self { wait: true, timeout_ms: 60_000 }
    }
}

/// Parameters of `app.wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitForState {
    /// The application's ID.
    pub id: AppId,
    /// The state to wait for; `not_found` waits until it is gone.
    pub state: State,
    /// The longest wait, in milliseconds.
    pub timeout_ms: u64,
}

/// The result of `app.wait`: the `Application`, or `Gone` for one that does not exist and was to be `not_found`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Waited {
    /// The application, which has reached the state. With `not_found`, a deleted one that can be undeleted.
    Application(Box<Application>),
    /// With `not_found`: the host knows nothing of it.
    Gone(Gone),
}

/// An application that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gone {
    /// The application's ID.
    pub id: AppId,
    /// Always `not_found`.
    pub state: State,
}

impl Waited {
    /// The application's ID.
    #[must_use]
    pub fn id(&self) -> &AppId {
        match self {
            Self::Application(application) => &application.id,
            Self::Gone(gone) => &gone.id,
        }
    }
}

impl<'de> Deserialize<'de> for Waited {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Numbers that keep their digits do not pass through the buffer of a derived implementation.
        let value = Value::deserialize(deserializer)?;
        let read = match value.get("name") {
            Some(_) => serde_json::from_value(value).map(Self::Application),
            None => serde_json::from_value(value).map(Self::Gone),
        };
        read.map_err(D::Error::custom)
    }
}
