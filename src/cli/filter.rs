//! Parses `--filter`, `--selector` and `--label`.

use std::collections::BTreeMap;

use super::error::CliError;
use super::suggest;
use super::values::{DATABASE_MODES, START_MODES, STATES};
use crate::protocol::{
    ApplicationField, Comparison, Condition, ConditionField, InvalidCondition, LabelChanges, Labels,
    check_label, check_label_key,
};

/// The engines that `engine` compares; MariaDB is `mysql` in the protocol.
const ENGINES: &[&str] = &["sqlite", "postgres", "mysql", "mariadb"];

/// What `protected` is.
const ANSWERS: &[&str] = &["yes", "no"];

/// The operators of `--filter`.
const OPERATORS: [(&str, Comparison); 4] = [
    ("=", Comparison::Equals),
    ("!=", Comparison::Differs),
    ("~", Comparison::Contains),
    ("!~", Comparison::Lacks),
];

/// What operators are written with, here and elsewhere.
const OPERATOR_CHARACTERS: [char; 5] = ['=', '!', '~', '<', '>'];

/// The help of `--filter`.
pub(crate) const FILTER_HELP: &str = "\
List only applications for which all of these conditions hold, separated by commas; may be given several times. A \
condition is FIELD=VALUE, FIELD!=VALUE, FIELD~TEXT (it contains the text, regardless of case) or FIELD!~TEXT. A \
value with a comma is put in double quotes, or the comma gets a backslash. The fields:
  id          the ID
  name        the display name
  state       as of --state
  engine      sqlite, postgres, mysql (mariadb is the same)
  mode        database, connection, schema
  start_mode  on-visit, with-main
  domain      any of its domains
  protected   yes, no
  label.KEY   the value of a label";

/// The help of `--selector`.
pub(crate) const SELECTOR_HELP: &str = "\
Select the applications by their labels, separated by commas; may be given several times; all must hold. Where no \
application has the labels, list prints none, and other commands end with exit code 4.
  team=crm   the label team has this value
  env!=prod  the label env has another value, or is missing
  team       there is a label team
  !team      there is none";

/// Conditions of one `--filter` or `--selector`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conditions(Vec<Condition>);

impl Conditions {
    /// The conditions of several options, which must all hold.
    pub(crate) fn joined(all: &[Self]) -> Vec<Condition> {
        all.iter().flat_map(|conditions| conditions.0.iter().cloned()).collect()
    }
}

/// Parses a filter such as `state=running,name~"Tom, Dick"`.
pub(crate) fn filter(text: &str) -> Result<Conditions, String> {
    let mut conditions = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (condition, after) = condition(text)?;
        conditions.push(condition);
        rest = after;
    }
    Ok(Conditions(conditions))
}

/// Parses the first condition of a filter; gives what is after its comma, if it has one.
fn condition(text: &str) -> Result<(Condition, Option<&str>), String> {
    let at = text.find(|c: char| c == ',' || OPERATOR_CHARACTERS.contains(&c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(at);
    let after = rest.trim_start_matches(OPERATOR_CHARACTERS);
    let operator = &rest[..rest.len() - after.len()];
    let known = OPERATORS.iter().find(|(word, _)| *word == operator);
    let Some(&(_, comparison)) = known else {
        let what = match operator {
            "" => format!("\"{}\" has no operator", name.trim()),
            operator => format!("there is no operator \"{operator}\""),
        };
        return Err(format!(
            "{what}; a condition is a field, one of = != ~ !~ and a value, such as name~shop"
        ));
    };
    let field = condition_field(name.trim())?;
    let (value, after) = value(after)?;
    let value = compared(&field, comparison, value)?;
    Ok((Condition { field, comparison, value }, after))
}

/// Parses a value up to its comma: in double quotes, or with a backslash before each comma of its own.
fn value(text: &str) -> Result<(String, Option<&str>), String> {
    let text = text.trim_start();
    let (body, end) = match text.strip_prefix('"') {
        Some(quoted) => (quoted, '"'),
        None => (text, ','),
    };
    let mut value = String::new();
    let mut characters = body.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character == end {
            let after = &body[at + 1..];
            return match (end, after.trim_start()) {
                (',', _) => Ok((value.trim_end().to_owned(), Some(after))),
                (_, "") => Ok((value, None)),
                (_, after) => match after.strip_prefix(',') {
                    Some(after) => Ok((value, Some(after))),
                    None => Err(format!("a comma is missing behind the quotes, before \"{after}\"")),
                },
            };
        }
        let is_escaped = |next: &(usize, char)| character == '\\' && matches!(next.1, ',' | '"' | '\\');
        value.push(characters.next_if(is_escaped).map_or(character, |(_, next)| next));
    }
    match end {
        ',' => Ok((value.trim_end().to_owned(), None)),
        _ => Err(format!("the quotes in {text} are not closed")),
    }
}

/// Parses a field's name, also as others write it.
fn condition_field(name: &str) -> Result<ConditionField, String> {
    let plain = match name {
        "domains" => "domain".to_owned(),
        name if name.starts_with(ApplicationField::LABEL_PREFIX) => name.to_owned(),
        name => name.replace('-', "_"),
    };
    let known = ConditionField::NAMES.into_iter().chain(["label.KEY"]);
    ConditionField::parse(&plain).map_err(|error| match error {
        InvalidCondition::Field(_) => with_nearest(&error.to_string(), name, known),
        InvalidCondition::Label(_) => error.to_string(),
    })
}

/// An error about a word, with the one that was probably meant.
pub(crate) fn with_nearest<'w>(error: &str, word: &str, known: impl Iterator<Item = &'w str>) -> String {
    match suggest::nearest(word, known) {
        Some(nearest) => format!("{error}; did you mean {nearest}?"),
        None => error.to_owned(),
    }
}

/// The value as the daemon compares it. A whole value that the field never has is an error.
fn compared(field: &ConditionField, comparison: Comparison, value: String) -> Result<String, String> {
    let words = match field {
        ConditionField::State => STATES,
        ConditionField::StartMode => START_MODES,
        ConditionField::Mode => DATABASE_MODES,
        ConditionField::Engine => ENGINES,
        ConditionField::Protected => ANSWERS,
        _ => return Ok(value),
    };
    let is_whole = matches!(comparison, Comparison::Equals | Comparison::Differs);
    if is_whole && !words.contains(&value.as_str()) {
        let error = format!("{field} is never \"{value}\"; it is one of {}", words.join(", "));
        return Err(with_nearest(&error, &value, words.iter().copied()));
    }
    let is_mariadb = *field == ConditionField::Engine && value == "mariadb";
    Ok(if is_mariadb { "mysql".to_owned() } else { value })
}

/// Parses a selector such as `team=crm,env!=prod,tier,!legacy`.
pub(crate) fn selector(text: &str) -> Result<Conditions, String> {
    text.split(',').map(|part| requirement(part.trim())).collect::<Result<_, _>>().map(Conditions)
}

fn requirement(text: &str) -> Result<Condition, String> {
    let (key, comparison, value) = if let Some((key, value)) = text.split_once("!=") {
        (key, Comparison::Differs, value)
    } else if let Some((key, value)) = text.split_once('=') {
        // kubectl also writes two.
        (key, Comparison::Equals, value.strip_prefix('=').unwrap_or(value))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, Comparison::Missing, "")
    } else {
        (text, Comparison::Exists, "")
    };
    let (key, value) = (key.trim(), value.trim());
    check_label(key, value)
        .map_err(|error| format!("{error}; a selector is such as team=crm, env!=prod, team or !team"))?;
    Ok(Condition { field: ConditionField::Label(key.to_owned()), comparison, value: value.to_owned() })
}

/// The conditions on labels as `--selector` takes them.
pub(crate) fn selector_text(conditions: &[Condition]) -> String {
    let words = conditions.iter().map(|Condition { field, comparison, value }| {
        let key = match field {
            ConditionField::Label(key) => key.clone(),
            other => other.to_string(),
        };
        match comparison {
            Comparison::Equals => format!("{key}={value}"),
            Comparison::Differs => format!("{key}!={value}"),
            Comparison::Missing => format!("!{key}"),
            Comparison::Exists | Comparison::Contains | Comparison::Lacks => key,
        }
    });
    words.collect::<Vec<_>>().join(",")
}

/// A label to set, or to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenLabel {
    key: String,
    /// `None` removes it.
    value: Option<String>,
}

/// Parses `KEY=VALUE`.
pub(crate) fn label(text: &str) -> Result<GivenLabel, String> {
    let (key, value) = text.split_once('=').ok_or("give KEY=VALUE, such as team=crm")?;
    check_label(key, value).map_err(|error| error.to_string())?;
    Ok(GivenLabel { key: key.to_owned(), value: Some(value.to_owned()) })
}

/// Parses `KEY=VALUE`, or `KEY-` to remove the label.
pub(crate) fn label_change(text: &str) -> Result<GivenLabel, String> {
    if text.contains('=') {
        return label(text);
    }
    let key =
        text.strip_suffix('-').ok_or("give KEY=VALUE, such as team=crm, or KEY- to remove the label")?;
    label_key(key).map(|key| GivenLabel { key, value: None })
}

/// Parses the key of a label.
pub(crate) fn label_key(text: &str) -> Result<String, String> {
    check_label_key(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// The labels of a new application.
pub(crate) fn labels(given: &[GivenLabel]) -> Result<Labels, CliError> {
    let changes = label_changes(given, &[])?;
    Ok(changes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

/// The changes of labels; `removed` are the keys of further ones to remove. No key may be given twice.
pub(crate) fn label_changes(given: &[GivenLabel], removed: &[String]) -> Result<LabelChanges, CliError> {
    let removed = removed.iter().map(|key| (key, None));
    let mut changes = BTreeMap::new();
    for (key, value) in given.iter().map(|label| (&label.key, label.value.clone())).chain(removed) {
        if changes.insert(key.clone(), value).is_some() {
            let hint = "give each label once, to set it or to remove it";
            return Err(CliError::usage(format!("the label {key} is given twice"), hint));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(conditions: Result<Conditions, String>) -> Vec<String> {
        let conditions = conditions.unwrap().0.into_iter();
        conditions.map(|it| format!("{}|{:?}|{}", it.field, it.comparison, it.value)).collect()
    }

    #[test]
    fn a_filter_is_fields_operators_and_values() {
        for (text, expected) in [
            ("state=running", &["state|Equals|running"][..]),
            (
                "state=running,engine=postgres,name~shop",
                &["state|Equals|running", "engine|Equals|postgres", "name|Contains|shop"],
            ),
            ("name!~a=b", &["name|Lacks|a=b"]),
            ("engine!=mariadb,name=mariadb", &["engine|Differs|mysql", "name|Equals|mariadb"]),
            ("state~ing", &["state|Contains|ing"]),
            (
                " start-mode = with-main , domains=x.org",
                &["start_mode|Equals|with-main", "domain|Equals|x.org"],
            ),
            ("mode=schema,protected!=yes", &["mode|Equals|schema", "protected|Differs|yes"]),
            ("label.team=crm,label.x/y-z=", &["label.team|Equals|crm", "label.x/y-z|Equals|"]),
        ] {
            assert_eq!(written(filter(text)), expected, "{text}");
        }
        for (wrong, says) in [
            ("size=3", "there are id, name, state, engine, mode, start_mode, domain, protected, label.KEY"),
            ("nmae=x", "did you mean name?"),
            ("label=x", "did you mean label.KEY?"),
            ("=x", "there is no field \"\""),
            ("running", "\"running\" has no operator"),
            ("name,state=running", "\"name\" has no operator"),
            ("", "= != ~ !~"),
            ("name~a,", "\"\" has no operator"),
            ("name!x", "no operator \"!\""),
            ("name==x", "no operator \"==\""),
            ("name=~x", "no operator \"=~\""),
            ("name>x", "no operator \">\""),
            ("state=runing", "did you mean running?"),
            ("engine=oracle", "sqlite, postgres, mysql, mariadb"),
            ("start_mode!=never", "on-visit, with-main"),
            ("protected=maybe", "yes, no"),
            ("label.=x", "key of a label"),
            ("label.te am=x", "key of a label"),
        ] {
            let error = filter(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_value_may_have_commas() {
        for (text, expected) in [
            ("name!=Tom\\, Dick", &["name|Differs|Tom, Dick"][..]),
            ("name~a\\\\,id~b\\c", &["name|Contains|a\\", "id|Contains|b\\c"]),
            ("name=\"Tom, Dick\" , id~x", &["name|Equals|Tom, Dick", "id|Contains|x"]),
            ("name=\" a\\\"b \"", &["name|Equals| a\"b "]),
            ("name=\"\"", &["name|Equals|"]),
            ("name~5\" pipe", &["name|Contains|5\" pipe"]),
            ("name~\"=x\"", &["name|Contains|=x"]),
        ] {
            assert_eq!(written(filter(text)), expected, "{text}");
        }
        for (wrong, says) in [
            ("name=\"Tom, Dick", "not closed"),
            ("name=\"a\"b", "a comma is missing"),
            ("name=\"a\",", "operator"),
        ] {
            let error = filter(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_selector_is_of_labels() {
        for (text, expected) in [
            (
                "team=x,env!=prod,team",
                &["label.team|Equals|x", "label.env|Differs|prod", "label.team|Exists|"][..],
            ),
            ("!legacy, a==b,c=", &["label.legacy|Missing|", "label.a|Equals|b", "label.c|Equals|"]),
        ] {
            assert_eq!(written(selector(text)), expected, "{text}");
        }
        for text in ["team=x,env!=prod,team", "!legacy,a=b,c="] {
            assert_eq!(selector_text(&selector(text).unwrap().0), text);
        }
        for wrong in ["", "team=x,", "=x", "!", "te am", "team=a b", "team in (a)", "team~x", "!team=x"] {
            assert!(selector(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_label_is_set_or_removed() {
        let given = ["team=x", "env=", "old-"].map(|text| label_change(text).unwrap());
        let changes = label_changes(&given, &["gone".to_owned()]).unwrap();
        let expected = [("env", Some("")), ("gone", None), ("old", None), ("team", Some("x"))];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(changes, LabelChanges::from(expected));
        for wrong in ["team", "", "-", "team--", "=x", "a b=c", "a=b c"] {
            assert!(label_change(wrong).is_err(), "{wrong}");
        }
        assert!(label("team-").is_err());
        for twice in [["a=1", "a=2"], ["a=1", "a-"]] {
            let given = twice.map(|text| label_change(text).unwrap());
            assert!(label_changes(&given, &[]).is_err(), "{twice:?}");
        }
        assert!(label_changes(&given, &["team".to_owned()]).is_err());
    }
}
