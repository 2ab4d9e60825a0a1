//! Conditions on applications, by which lists are filtered.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ApplicationField;
use super::labels::{InvalidLabel, check_label_key};

/// What a condition compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    with = "String",
    extend("pattern" = "^(id|name|state|engine|mode|start_mode|domain|protected|label\\..+)$")
)]
pub enum ConditionField {
    /// The ID.
    Id,
    /// The display name.
    Name,
    /// The state.
    State,
    /// The database's engine: `sqlite`, `postgres` or `mysql` (MariaDB too).
    Engine,
    /// Whose its database is: `database`, `connection` or `schema`.
    Mode,
    /// When the daemon starts it by itself.
    StartMode,
    /// Any of its domains.
    Domain,
    /// Whether it is protected against deletion: `yes` or `no`.
    Protected,
    /// The label of this key.
    Label(String),
}

impl ConditionField {
    /// The names of all fields but labels.
    pub const NAMES: [&'static str; 8] =
        ["id", "name", "state", "engine", "mode", "start_mode", "domain", "protected"];

    /// Parses the name of a field.
    ///
    /// # Errors
    /// [`InvalidCondition`] names the fields that exist.
    pub fn parse(name: &str) -> Result<Self, InvalidCondition> {
        if let Some(key) = name.strip_prefix(ApplicationField::LABEL_PREFIX) {
            check_label_key(key)?;
            return Ok(Self::Label(key.to_owned()));
        }
        Ok(match name {
            "id" => Self::Id,
            "name" => Self::Name,
            "state" => Self::State,
            "engine" => Self::Engine,
            "mode" => Self::Mode,
            "start_mode" => Self::StartMode,
            "domain" => Self::Domain,
            "protected" => Self::Protected,
            other => return Err(InvalidCondition::Field(other.to_owned())),
        })
    }
}

impl fmt::Display for ConditionField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("id"),
            Self::Name => f.write_str("name"),
            Self::State => f.write_str("state"),
            Self::Engine => f.write_str("engine"),
            Self::Mode => f.write_str("mode"),
            Self::StartMode => f.write_str("start_mode"),
            Self::Domain => f.write_str("domain"),
            Self::Protected => f.write_str("protected"),
            Self::Label(key) => write!(f, "{}{key}", ApplicationField::LABEL_PREFIX),
        }
    }
}

impl TryFrom<String> for ConditionField {
    type Error = InvalidCondition;

    fn try_from(name: String) -> Result<Self, InvalidCondition> {
        Self::parse(&name)
    }
}

impl From<ConditionField> for String {
    fn from(field: ConditionField) -> Self {
        field.to_string()
    }
}

/// A field that no condition can compare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCondition {
    /// There is no such field.
    #[error("there is no field \"{0}\" to filter by; there are {names}, label.KEY", names = ConditionField::NAMES.join(", "))]
    Field(String),
    /// No label has this key.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Comparison {
    /// The field is the value.
    #[serde(rename = "=")]
    Equals,
    /// The field is not the value, or there is none.
    #[serde(rename = "!=")]
    Differs,
    /// The field contains the value, regardless of case.
    #[serde(rename = "~")]
    Contains,
    /// The field does not contain the value, or there is none.
    #[serde(rename = "!~")]
    Lacks,
    /// There is one; the value is ignored.
    #[serde(rename = "exists")]
    Exists,
    /// There is none; the value is ignored.
    #[serde(rename = "missing")]
    Missing,
}

/// A condition on applications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is compared: id, name, state, engine, mode, start_mode, domain, protected, or label.KEY.
    pub field: ConditionField,
    /// How it is compared.
    pub comparison: Comparison,
    /// What it is compared with.
    #[serde(default)]
    pub value: String,
}

impl Condition {
    /// Whether the condition holds for a field with these values: an application may have several domains, and
    /// may lack a label.
    #[must_use]
    pub fn holds<'a>(&self, mut values: impl Iterator<Item = &'a str>) -> bool {
        let is_equal = |value: &str| match self.field {
            ConditionField::Domain => value.eq_ignore_ascii_case(&self.value),
            _ => value == self.value,
        };
        let contains = |value: &str| value.to_lowercase().contains(&self.value.to_lowercase());
        match self.comparison {
            Comparison::Equals => values.any(is_equal),
            Comparison::Differs => !values.any(is_equal),
            Comparison::Contains => values.any(contains),
            Comparison::Lacks => !values.any(contains),
            Comparison::Exists => values.next().is_some(),
            Comparison::Missing => values.next().is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(field: &str, comparison: Comparison, value: &str, values: &[&str]) -> bool {
        let field = ConditionField::parse(field).unwrap();
        Condition { field, comparison, value: value.to_owned() }.holds(values.iter().copied())
    }

    #[test]
    fn a_condition_is_about_any_value_and_its_opposite_about_all() {
        use Comparison::{Contains, Differs, Equals, Exists, Lacks, Missing};
        for (field, comparison, value, values, expected) in [
            ("name", Equals, "Shop", &["Shop"][..], true),
            ("name", Equals, "shop", &["Shop"], false),
            ("name", Contains, "HO", &["Shop"], true),
            ("name", Contains, "ÄR", &["Bär"], true),
            ("name", Contains, "", &["Shop"], true),
            ("name", Lacks, "ho", &["Shop"], false),
            ("domain", Equals, "B.example", &["a.example", "b.example"], true),
            ("domain", Differs, "b.example", &["a.example", "b.example"], false),
            ("domain", Differs, "b.example", &[], true),
            ("domain", Exists, "", &["a.example"], true),
            ("label.env", Differs, "prod", &[], true),
            ("label.env", Equals, "", &[], false),
            ("label.env", Equals, "", &[""], true),
            ("label.env", Exists, "", &[""], true),
            ("label.env", Exists, "", &[], false),
            ("label.env", Missing, "", &[], true),
            ("label.env", Missing, "", &["prod"], false),
        ] {
            assert_eq!(
                holds(field, comparison, value, values),
                expected,
                "{field} {comparison:?} {value} {values:?}"
            );
        }
    }

    #[test]
    fn fields_are_named_on_the_wire() {
        for name in ConditionField::NAMES.into_iter().chain(["label.team"]) {
            let field = ConditionField::parse(name).unwrap();
            assert_eq!(String::from(field), name);
        }
        assert!(ConditionField::parse("size").unwrap_err().to_string().contains("label.KEY"));
        assert!(ConditionField::parse("label.").is_err());
        let json = serde_json::json!({"field": "label.team", "comparison": "!=", "value": "x"});
        let condition: Condition = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&condition).unwrap(), json);
    }
}
