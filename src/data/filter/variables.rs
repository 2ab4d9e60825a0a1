//! Variables of stored filters, which stand for the requester and the time.
//!
//! A filter that is stored with a block or a role contains `{{ $user.id }}` or `{{ $nDate.today }}` in place
//! of a value. [`resolve`] replaces the variables with the values of the request before the filter is parsed.
//! Only a whole text is a variable: `Hello {{ $user.id }}` stays as it is.
//!
//! | variable | value |
//! |---|---|
//! | `$user`, `currentUser`, `ctx.state.currentUser` | the user, or the value at a path: `$user.team.id` |
//! | `$nRole`, `currentRole`, `ctx.state.currentRole` | the role's name |
//! | `$nDate.today`, `$date.today` and so on | the day, week, month … as a date with its zone |
//! | `$nDate.now`, `$date.now`, `$system.now` | the instant, in UTC |

use std::fmt;

use chrono::{DateTime, FixedOffset, Offset as _, SecondsFormat, Utc};
use serde_json::{Map, Value};

use super::calendar::RelativeDate;

/// Names of the variable for the user.
const USER: [&str; 3] = ["ctx.state.currentUser", "currentUser", "$user"];
/// Names of the variable for the role.
const ROLE: [&str; 3] = ["ctx.state.currentRole", "currentRole", "$nRole"];

/// The values of a filter's variables in one request.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    /// The user who sent the request, with the associations that were loaded; `None` for a visitor. Filters
    /// can compare with every value in it, so it must not contain a password's hash.
    pub user: Option<&'a Map<String, Value>>,
    /// The name of the role in which the request acts.
    pub role: Option<&'a str>,
    /// The zone in which days, weeks and months start.
    pub timezone: FixedOffset,
    /// When the request arrived.
    pub now: DateTime<Utc>,
}

/// A filter contains a variable that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// The text between the braces.
    pub name: String,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a filter has no variable \"{}\"", self.name)
    }
}

impl std::error::Error for UnknownVariable {}

/// Replaces every variable in a filter, at any depth, by its value.
///
/// A variable without a value in this request (nobody is signed in, or the user's field is empty) becomes
/// null. A path that the user does not have is an unknown variable, because null in its place would match
/// other records. A path through a list gives the list of values in its items: `$user.roles.name` is the
/// names of all roles, without nulls.
///
/// # Errors
///
/// [`UnknownVariable`] for the first variable that does not exist.
pub fn resolve(filter: &Value, variables: &Variables<'_>) -> Result<Value, UnknownVariable> {
    Ok(match filter {
        Value::String(text) => match name(text) {
            Some(name) => value(name, variables).ok_or_else(|| UnknownVariable { name: name.to_owned() })?,
            None => filter.clone(),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| resolve(item, variables)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, inner)| Ok((key.clone(), resolve(inner, variables)?)))
                .collect::<Result<_, _>>()?,
        ),
        other => other.clone(),
    })
}

/// Checks that every variable of a filter exists, before the filter is stored. `has_user` says which paths of
/// the user exist.
///
/// # Errors
///
/// [`UnknownVariable`] for the first variable that does not exist.
pub fn check_variables(filter: &Value, has_user: &dyn Fn(&[&str]) -> bool) -> Result<(), UnknownVariable> {
    match filter {
        Value::String(text) => {
            let Some(name) = name(text) else { return Ok(()) };
            let utc = Utc.fix();
            let nobody = Variables { user: None, role: None, timezone: utc, now: Utc::now() };
            let exists = value(name, &nobody).is_some()
                && strip_name(name, &USER).is_none_or(|path| has_user(&steps(path)));
            if exists { Ok(()) } else { Err(UnknownVariable { name: name.to_owned() }) }
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_variables(item, has_user)),
        Value::Object(fields) => fields.values().try_for_each(|inner| check_variables(inner, has_user)),
        _ => Ok(()),
    }
}

/// Whether a filter contains variables, at any depth.
#[must_use]
pub fn has_variables(filter: &Value) -> bool {
    match filter {
        Value::String(text) => name(text).is_some(),
        Value::Array(items) => items.iter().any(has_variables),
        Value::Object(fields) => fields.values().any(has_variables),
        _ => false,
    }
}

/// Whether the values of a filter's variables depend on the time, and not only on the requester.
#[must_use]
pub fn depends_on_time(filter: &Value) -> bool {
    match filter {
        Value::String(text) => name(text).is_some_and(|name| !is_of_requester(name)),
        Value::Array(items) => items.iter().any(depends_on_time),
        Value::Object(fields) => fields.values().any(depends_on_time),
        _ => false,
    }
}

/// Returns the text between the braces, if the whole text is a variable.
fn name(text: &str) -> Option<&str> {
    Some(text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim())
}

/// Returns a variable's value in a request; `None` if there is no such variable.
fn value(name: &str, variables: &Variables<'_>) -> Option<Value> {
    // Two variables in one text are not a variable.
    if name.contains(['{', '}']) {
        return None;
    }
    if let Some(path) = strip_name(name, &USER) {
        return user(path, variables.user);
    }
    if ROLE.contains(&name) {
        return Some(variables.role.map_or(Value::Null, Value::from));
    }
    if matches!(name, "$system.now" | "$date.now" | "$nDate.now") {
        return Some(Value::from(variables.now.to_rfc3339_opts(SecondsFormat::Millis, true)));
    }
    let date = RelativeDate::named(strip_name(name, &["$date", "$nDate"])?.strip_prefix('.')?)?;
    // The last day of the calendar has no tomorrow: the variable exists, but has no value.
    Some(date.value(variables.timezone, variables.now).unwrap_or(Value::Null))
}

/// Whether a variable depends on the requester alone.
fn is_of_requester(name: &str) -> bool {
    ROLE.contains(&name) || strip_name(name, &USER).is_some()
}

/// Strips one of these names from a path. The rest is empty or starts with a dot.
fn strip_name<'a>(path: &'a str, names: &[&str]) -> Option<&'a str> {
    names
        .iter()
        .filter_map(|name| path.strip_prefix(name))
        .find(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Splits a path that is empty or starts with a dot.
fn steps(path: &str) -> Vec<&str> {
    path.split('.').skip(1).collect()
}

/// Returns the user's value at a path such as `.team.id`; `None` if the user has no such field, or if a step
/// is empty.
fn user(path: &str, user: Option<&Map<String, Value>>) -> Option<Value> {
    let steps = steps(path);
    if steps.iter().any(|step| step.trim().is_empty()) {
        return None;
    }
    let Some(user) = user else {
        return Some(Value::Null);
    };
    match steps.split_first() {
        Some((first, rest)) => lookup(user.get(*first)?, rest),
        None => Some(Value::Object(user.clone())),
    }
}

/// Returns the value at these steps; `None` if a step does not exist.
fn lookup(value: &Value, steps: &[&str]) -> Option<Value> {
    let Some((first, rest)) = steps.split_first() else {
        return Some(value.clone());
    };
    match value {
        Value::Object(fields) => lookup(fields.get(*first)?, rest),
        Value::Array(items) => {
            let mut found = Vec::new();
            for item in items {
                match lookup(item, steps)? {
                    Value::Null => {}
                    // Nested lists become one list, such as the permissions of all roles.
                    Value::Array(inner) => found.extend(inner.into_iter().filter(|value| !value.is_null())),
                    other => found.push(other),
                }
            }
            Some(Value::Array(found))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(filter: &Value, user: Option<&Value>, role: Option<&str>) -> Result<Value, UnknownVariable> {
        let variables = Variables {
            user: user.and_then(Value::as_object),
            role,
            timezone: FixedOffset::east_opt(8 * 3600).unwrap(),
            now: "2022-12-31T16:00:00.5Z".parse().unwrap(),
        };
        resolve(filter, &variables)
    }

    fn user() -> Value {
        json!({
            "id": 1,
            "nickname": null,
            "note": "{{ $user.id }}",
            "team": {"id": 2, "tags": ["a", "b"]},
            "roles": [
                {"name": "admin", "rules": [{"id": 1}, {"id": 2}]},
                {"name": null, "rules": []},
                {"name": "member", "rules": [{"id": 3}]},
            ],
            "groups": [],
        })
    }

    #[test]
    fn variables_resolve_to_the_values_of_the_request() {
        for (text, expected) in [
            ("{{ctx.state.currentUser.id}}", json!(1)),
            ("{{ currentUser.id}}", json!(1)),
            (" {{\n$user.id }} ", json!(1)),
            ("{{$user.team.id}}", json!(2)),
            ("{{$user.team.tags}}", json!(["a", "b"])),
            ("{{$user.team}}", json!({"id": 2, "tags": ["a", "b"]})),
            ("{{$user.roles.name}}", json!(["admin", "member"])),
            ("{{$user.roles.rules.id}}", json!([1, 2, 3])),
            ("{{$user.groups.name}}", json!([])),
            ("{{$user.nickname}}", json!(null)),
            ("{{$user}}", user()),
            // A value is not resolved again.
            ("{{$user.note}}", json!("{{ $user.id }}")),
            ("{{ $nRole }}", json!("admin")),
            ("{{ ctx.state.currentRole }}", json!("admin")),
            ("{{ currentRole }}", json!("admin")),
            ("{{ $nDate.today }}", json!("2023-01-01+08:00")),
            ("{{ $date.thisMonth }}", json!("2023-01+08:00")),
            ("{{ $date.thisWeek }}", json!("2023w01+08:00")),
            ("{{ $nDate.next7Days }}", json!(["2023-01-02", "2023-01-09", "[)", "+08:00"])),
            ("{{ $nDate.now }}", json!("2022-12-31T16:00:00.500Z")),
            ("{{$system.now}}", json!("2022-12-31T16:00:00.500Z")),
            // These are not variables.
            ("Hello {{ $user.id }}", json!("Hello {{ $user.id }}")),
            ("{ $user.id }", json!("{ $user.id }")),
            ("$user.id", json!("$user.id")),
            ("{{", json!("{{")),
            ("", json!("")),
        ] {
            assert_eq!(resolved(&json!(text), Some(&user()), Some("admin")), Ok(expected), "{text}");
        }
    }

    #[test]
    fn dependence_on_time_is_recognized() {
        for (text, expected) in [
            ("{{ $user.id }}", false),
            ("{{ctx.state.currentUser.team.id}}", false),
            ("{{ $nRole }}", false),
            ("Hello {{ $nDate.today }}", false),
            ("{{ $nDate.today }}", true),
            ("{{ $date.thisWeek }}", true),
            ("{{ $system.now }}", true),
            // An unknown variable may depend on the time.
            ("{{ $absent }}", true),
            ("{{ $username }}", true),
        ] {
            assert_eq!(depends_on_time(&json!({"$and": [{"a": 1}, {"b.$in": [text]}]})), expected, "{text}");
        }
    }

    #[test]
    fn variables_are_null_for_a_visitor() {
        for text in
            ["{{$user}}", "{{$user.roles.name}}", "{{currentUser.id}}", "{{$nRole}}", "{{currentRole}}"]
        {
            assert_eq!(resolved(&json!(text), None, None), Ok(json!(null)), "{text}");
        }
    }

    #[test]
    fn variables_are_resolved_at_any_depth_and_nothing_else_changes() {
        let filter = json!({
            "$and": [
                {"owner": {"id": {"$eq": "{{$user.id}}"}}},
                {"$or": [{"role.$in": ["{{ $nRole }}", "guest"]}, {"count.$gt": 3, "{{key}}": null}]},
            ],
        });
        let expected = json!({
            "$and": [
                {"owner": {"id": {"$eq": 1}}},
                {"$or": [{"role.$in": ["admin", "guest"]}, {"count.$gt": 3, "{{key}}": null}]},
            ],
        });
        assert_eq!(resolved(&filter, Some(&user()), Some("admin")), Ok(expected));
    }

    #[test]
    fn an_unknown_variable_is_named() {
        for name in [
            "",
            "$users.id",
            "$user.",
            "$user..id",
            "$user. .id",
            "User.id",
            "ctx.state",
            "ctx.state.currentUsers",
            "ctx.state.token",
            "$nRole.name",
            "$nDate",
            "$nDate.",
            "$nDate.someday",
            "$nDate.today.start",
            "$dates.today",
            "$system.title",
            "$nForm.name",
            "$user.id}} and {{$user.id",
        ] {
            let filter = json!({"$and": [{"a.$eq": format!("{{{{ {name} }}}}")}]});
            // It is unknown for a visitor too, so that no filter works by chance.
            for user in [Some(&user()), None] {
                let error = resolved(&filter, user, Some("admin")).unwrap_err();
                assert_eq!(error.to_string(), format!("a filter has no variable \"{name}\""));
            }
        }
    }

    #[test]
    fn a_path_that_the_user_lacks_is_unknown() {
        for name in [
            "$user.absent",
            "$user.absent.name",
            "$user.password",
            "$user.id.deeper",
            "$user.nickname.deeper",
            "$user.team.absent",
            "$user.roles.absent",
            "$user.roles.rules.absent",
            "ctx.state.currentUser.absent",
            "currentUser.absent",
        ] {
            for filter in [
                json!({"id.$ne": format!("{{{{{name}}}}}")}),
                json!({"$or": [{"a": 1}, {"owner": {"id": {"$notIn": [format!("{{{{ {name} }}}}")]}}}]}),
            ] {
                let error = resolved(&filter, Some(&user()), Some("admin")).unwrap_err();
                assert_eq!(error.to_string(), format!("a filter has no variable \"{name}\""));
            }
        }
    }

    #[test]
    fn stored_variables_are_checked_without_a_user() {
        let has_user = |steps: &[&str]| matches!(steps, [] | ["id"] | ["roles", "name"]);
        let checked = |name: &str| {
            let filter = json!({"$and": [{"a.$in": [1, format!("{{{{ {name} }}}}")]}]});
            check_variables(&filter, &has_user).map_err(|unknown| unknown.name)
        };
        for name in ["$user.id", "currentUser.roles.name", "$user", "$nRole", "$nDate.today", "$system.now"] {
            assert_eq!(checked(name), Ok(()));
        }
        for name in ["$user.absent", "$user.id.a", "$user.", "$user..id", "$nRole.name", "$nDate.x", "$a", ""]
        {
            assert_eq!(checked(name), Err(name.to_owned()));
        }
        assert_eq!(check_variables(&json!({"a": ["Hello {{ $user.x }}", null, 1]}), &has_user), Ok(()));
    }

    #[test]
    fn resolved_dates_can_be_parsed() {
        let now = "2022-12-31T16:00:00Z".parse().unwrap();
        let utc = FixedOffset::east_opt(0).unwrap();
        for name in
            ["today", "thisWeek", "lastIsoWeek", "nextMonth", "thisQuarter", "lastYear", "last90Days", "now"]
        {
            let value = resolved(&json!(format!("{{{{$nDate.{name}}}}}")), None, None).unwrap();
            assert!(super::super::dates::parse(&value, utc, now).is_ok(), "{name}: {value}");
        }
    }
}
