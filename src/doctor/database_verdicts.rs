//! Judges what a database and its server say of themselves.

use chrono::TimeDelta;

use super::database_observation::{DatabaseObservation, DatabaseQuestion};
use super::verdict::{Verdict, check};
use crate::app::SYSTEM_VERSION;
use crate::database::{ConnectionCounts, MissingRight, Right};

/// The oldest versions of servers that are supported.
const OLDEST: [(&str, (u32, u32)); 3] = [("PostgreSQL", (13, 0)), ("MariaDB", (10, 5)), ("MySQL", (8, 0))];

/// Clocks may differ by this much.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(2);

/// With fewer connections for the host, applications wait for each other.
const FEW_CONNECTIONS: u32 = 5;

/// The part of a server's connections that is left to others, and the least of it, as the pools have it.
const RESERVED_SHARE: u32 = 10;
const MIN_RESERVE: u32 = 3;

/// How many names a sentence has.
const MAX_NAMES: usize = 3;

/// Judges the server: its version, its clock and its connections.
pub(super) fn judge_server(observation: &DatabaseObservation, configured: Option<u32>) -> Vec<Verdict> {
    let report = &observation.report;
    let mut verdicts = vec![judge_version(report.product, &report.version, report.number)];
    if let Some(ahead) = observation.ahead {
        verdicts.push(judge_clock(ahead));
    }
    if let Some(counts) = report.connections {
        verdicts.push(judge_connections(report.product, counts, configured));
    }
    verdicts
}

fn judge_version(product: &str, version: &str, number: (u32, u32)) -> Verdict {
    let oldest = OLDEST.iter().find(|(name, _)| *name == product);
    match oldest {
        Some((_, (major, minor))) if number < (*major, *minor) => Verdict::warning(
            check::VERSION,
            format!(
                "{product} {version} is older than {product} {major}.{minor}, the oldest that is supported"
            ),
            format!(
                "upgrade the server, with a backup at hand: without it, some commands fail on {product} {version}"
            ),
        ),
        _ => Verdict::ok(check::VERSION, format!("{product} {version} is supported")),
    }
}

fn judge_clock(ahead: TimeDelta) -> Verdict {
    let difference = ahead.abs();
    if difference <= MAX_CLOCK_DIFFERENCE {
        return Verdict::ok(check::CLOCK, "its clock and this machine's agree");
    }
    let direction = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    Verdict::warning(
        check::CLOCK,
        format!("its clock is {} s {direction} this machine's", difference.num_seconds()),
        "synchronize both machines with a time server: timedatectl set-ntp true",
    )
}

fn judge_connections(product: &str, counts: ConnectionCounts, configured: Option<u32>) -> Verdict {
    let ConnectionCounts { allowed, allowed_to_user, used } = counts;
    let reserve = (allowed / RESERVED_SHARE).max(MIN_RESERVE);
    let usable = allowed.saturating_sub(reserve).max(1);
    let raise = match product {
        "PostgreSQL" => "raise max_connections in postgresql.conf and restart the server",
        _ => "raise max_connections: SET GLOBAL max_connections = N, and in the server's configuration",
    };
    if let Some(used) = used.filter(|used| *used >= allowed / 10 * 9) {
        let sentence = format!("{used} connections are in use, of {allowed} that the server allows");
        let hint = format!("close those of other programs, or {raise}");
        return Verdict::warning(check::CONNECTIONS, sentence, hint);
    }
    if let Some(limit) = allowed_to_user.filter(|limit| *limit < FEW_CONNECTIONS) {
        let sentence =
            format!("the user may have {limit} connections, so that applications wait for each other");
        let hint = match product {
            "PostgreSQL" => "raise it: ALTER ROLE the user CONNECTION LIMIT -1",
            _ => {
                "raise max_user_connections, or the user's own limit: ALTER USER ... WITH MAX_USER_CONNECTIONS 0"
            }
        };
        return Verdict::warning(check::CONNECTIONS, sentence, hint);
    }
    if let Some(configured) = configured.filter(|configured| *configured > usable) {
        let sentence = format!(
            "{configured} connections are configured, and the server allows {allowed}: the host uses {usable} of them"
        );
        let hint = format!("{raise}, or lower connections in [database] of the configuration");
        return Verdict::warning(check::CONNECTIONS, sentence, hint);
    }
    if usable < FEW_CONNECTIONS {
        let sentence =
            format!("the server allows {allowed} connections, so that applications wait for each other");
        return Verdict::warning(check::CONNECTIONS, sentence, raise);
    }
    let used = used.map_or_else(String::new, |used| format!("; {used} are in use"));
    Verdict::ok(check::CONNECTIONS, format!("the server allows {allowed} connections{used}"))
}

/// Judges an application's database: its version, the user's rights and the encoding.
pub(super) fn judge_database(question: &DatabaseQuestion, observation: &DatabaseObservation) -> Vec<Verdict> {
    let report = &observation.report;
    let answers = format!("{} answers ({} {})", question.location, report.product, report.version);
    let mut verdicts = vec![Verdict::ok(check::DATABASE, answers), judge_tables(observation)];
    if question.location.server_database().is_some() {
        verdicts.extend(judge_rights(question, observation));
        verdicts.extend(judge_encoding(observation));
    }
    verdicts
}

/// Judges the version of the application's tables.
fn judge_tables(observation: &DatabaseObservation) -> Verdict {
    match &observation.version {
        Ok(version) if version == SYSTEM_VERSION => {
            Verdict::ok(check::VERSION, format!("its tables are of version {version}, as the host"))
        }
        Ok(version) => Verdict::warning(
            check::VERSION,
            format!(
                "its tables were created by version {version}, and the host is of version {SYSTEM_VERSION}"
            ),
            "it runs as it is: no version in between has changed them; back it up, and read CHANGELOG.md before the \
             next upgrade",
        ),
        Err(error) => {
            let hint = error.data.hint.clone();
            let hint = hint.unwrap_or_else(|| "restore its database from a backup".to_owned());
            Verdict::failed(check::VERSION, error.message.clone(), hint)
        }
    }
}

fn judge_rights(question: &DatabaseQuestion, observation: &DatabaseObservation) -> Vec<Verdict> {
    let location = &question.location;
    let user = location.server_database().map_or("", |at| &at.server.user);
    let Some(missing) = &observation.report.missing else {
        let sentence =
            format!("the rights of the user {user} in {location} come from roles and cannot be listed");
        return vec![Verdict::skipped(check::RIGHTS, sentence)];
    };
    let grant = |sql: &str| format!("grant it as an administrator of the server: {sql}");
    let mut verdicts = Vec::new();
    for MissingRight { right, grant: sql } in missing {
        let (is_failure, sentence) = match right {
            Right::CreateDatabases if question.needs.databases => (
                false,
                format!(
                    "the user {user} may not create the databases of further applications beside {location}"
                ),
            ),
            Right::CreateSchemas if question.needs.schemas => (
                false,
                format!("the user {user} may not create the schemas of further applications in {location}"),
            ),
            Right::CreateTables => (
                true,
                format!("the user {user} may not create tables in {location}: collections cannot be created"),
            ),
            Right::Privileges(names) => {
                (true, format!("the user {user} lacks {} in {location}", names.join(", ")))
            }
            Right::CreateDatabases | Right::CreateSchemas | Right::UseTable(_) | Right::ChangeTable(_) => {
                continue;
            }
        };
        verdicts.push(match is_failure {
            true => Verdict::failed(check::RIGHTS, sentence, grant(sql)),
            false => Verdict::warning(check::RIGHTS, sentence, grant(sql)),
        });
    }
    let closed = tables_with(observation, missing, |right| match right {
        Right::UseTable(table) => Some(table),
        _ => None,
    });
    if let Some((tables, sql)) = closed {
        let sentence = format!("the user {user} may not read and write {tables} in {location}");
        verdicts.push(Verdict::failed(check::RIGHTS, sentence, grant(&sql)));
    }
    let foreign = tables_with(observation, missing, |right| match right {
        Right::ChangeTable(table) => Some(table),
        _ => None,
    });
    if let Some((tables, sql)) = foreign {
        let sentence =
            format!("the user {user} does not own {tables} in {location}: fields cannot be added or removed");
        verdicts.push(Verdict::warning(check::RIGHTS, sentence, grant(&sql)));
    }
    if verdicts.is_empty() {
        let sentence = format!("the user {user} has the rights that are needed in {location}");
        verdicts.push(Verdict::ok(check::RIGHTS, sentence));
    }
    verdicts
}

/// The application's tables among the missing rights of one kind, in words, and the SQL that grants the first of them.
fn tables_with(
    observation: &DatabaseObservation,
    missing: &[MissingRight],
    table: impl Fn(&Right) -> Option<&String>,
) -> Option<(String, String)> {
    let own = |missing: &&MissingRight| {
        table(&missing.right).is_some_and(|table| observation.tables.contains(table))
    };
    let all: Vec<&MissingRight> = missing.iter().filter(own).collect();
    let names: Vec<&str> =
        all.iter().filter_map(|missing| table(&missing.right)).map(String::as_str).collect();
    Some((listed(&names, "the table"), all.first()?.grant.clone()))
}

/// Names in words: the first few, and how many more there are.
fn listed(names: &[&str], what: &str) -> String {
    let shown = names.iter().take(MAX_NAMES).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let plural = if names.len() > 1 { "s" } else { "" };
    match names.len().saturating_sub(MAX_NAMES) {
        0 => format!("{what}{plural} {shown}"),
        more => format!("{what}{plural} {shown} and {more} more"),
    }
}

fn judge_encoding(observation: &DatabaseObservation) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if let Some((sentence, sql)) = &observation.encoding {
        let hint =
            format!("create a database that can, and move the data there with pg_dump and psql: {sql}");
        verdicts.push(Verdict::warning(check::ENCODING, sentence.clone(), hint));
    }
    let own = observation.report.narrow_tables.iter().filter(|(table, _)| observation.tables.contains(table));
    let narrow: Vec<&(String, String)> = own.collect();
    if let Some((_, sql)) = narrow.first() {
        let names: Vec<&str> = narrow.iter().map(|(table, _)| table.as_str()).collect();
        verdicts.push(Verdict::warning(
            check::ENCODING,
            format!(
                "not every text fits into {}, which is not encoded in utf8mb4",
                listed(&names, "the table")
            ),
            format!("convert each, with a backup at hand: {sql}"),
        ));
    }
    if verdicts.is_empty() {
        verdicts.push(Verdict::ok(check::ENCODING, "its tables can hold every text"));
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::super::database_observation::Needs;
    use super::*;
    use crate::database::{Location, Report};
    use crate::protocol::FindingStatus::{self, Failed, Ok as Passed, Skipped, Warning};
    use crate::protocol::{AppId, ErrorKind, RpcError};

    fn question(needs: Needs) -> DatabaseQuestion {
        DatabaseQuestion {
            id: AppId::main(),
            location: Location::parse("postgres://ada@db/nb").unwrap(),
            table_prefix: String::new(),
            needs,
            configured_connections: None,
            data_directory: "/var/lib/nbapps".into(),
            may_be_missing: false,
        }
    }

    fn observation(missing: Vec<MissingRight>) -> DatabaseObservation {
        DatabaseObservation {
            report: Report {
                product: "PostgreSQL",
                version: "15.8".to_owned(),
                number: (15, 8),
                missing: Some(missing),
                ..Report::default()
            },
            ahead: Some(TimeDelta::zero()),
            encoding: None,
            version: Ok(SYSTEM_VERSION.to_owned()),
            tables: ["users", "posts", "tags", "a", "b"].map(str::to_owned).into(),
        }
    }

    fn of_check(verdicts: &[Verdict], check: &str) -> Vec<FindingStatus> {
        verdicts.iter().filter(|verdict| verdict.check == check).map(|verdict| verdict.status).collect()
    }

    #[test]
    fn old_servers_are_named() {
        for (product, version, number, expected) in [
            ("PostgreSQL", "12.22", (12, 22), Warning),
            ("PostgreSQL", "13.1", (13, 1), Passed),
            ("MariaDB", "10.3.39", (10, 3), Warning),
            ("MariaDB", "11.4.2", (11, 4), Passed),
            ("MySQL", "5.7.44", (5, 7), Warning),
            ("MySQL", "8.4.0", (8, 4), Passed),
            ("SQLite", "3.50.4", (3, 50), Passed),
        ] {
            assert_eq!(judge_version(product, version, number).status, expected, "{product} {version}");
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        for (seconds, expected) in [(0, Passed), (2, Passed), (-2, Passed), (3, Warning), (-3600, Warning)] {
            assert_eq!(judge_clock(TimeDelta::seconds(seconds)).status, expected, "{seconds}");
        }
        assert!(judge_clock(TimeDelta::seconds(-90)).message.contains("90 s behind"));
    }

    #[test]
    fn connections_are_judged_against_what_the_server_allows() {
        let counts = |allowed, allowed_to_user, used| ConnectionCounts { allowed, allowed_to_user, used };
        for (counts, configured, expected, says) in [
            (counts(97, None, Some(10)), None, Passed, "allows 97"),
            (counts(97, None, Some(10)), Some(64), Passed, "allows 97"),
            (counts(97, None, Some(10)), Some(200), Warning, "the host uses 88"),
            (counts(97, None, Some(90)), None, Warning, "90 connections are in use"),
            (counts(97, Some(2), None), None, Warning, "may have 2"),
            (counts(5, None, None), None, Warning, "allows 5"),
        ] {
            let verdict = judge_connections("PostgreSQL", counts, configured);
            assert_eq!(verdict.status, expected, "{verdict:?}");
            assert!(verdict.message.contains(says), "{verdict:?}");
        }
    }

    #[test]
    fn only_rights_that_are_needed_are_missing() {
        let lacks = |right| vec![MissingRight { right, grant: "GRANT IT".to_owned() }];
        let both = Needs { databases: true, schemas: true };
        let use_table = |name: &str| Right::UseTable(name.to_owned());
        let change_table = |name: &str| Right::ChangeTable(name.to_owned());
        for (right, needs, expected) in [
            (Right::CreateDatabases, both, Warning),
            (Right::CreateDatabases, Needs::default(), Passed),
            (Right::CreateSchemas, both, Warning),
            (Right::CreateSchemas, Needs { databases: true, schemas: false }, Passed),
            (Right::CreateTables, Needs::default(), Failed),
            (Right::Privileges(vec!["INSERT"]), Needs::default(), Failed),
            (use_table("posts"), Needs::default(), Failed),
            (change_table("posts"), Needs::default(), Warning),
            // The tables of other programs.
            (use_table("theirs"), Needs::default(), Passed),
            (change_table("theirs"), Needs::default(), Passed),
        ] {
            let verdicts = judge_database(&question(needs), &observation(lacks(right.clone())));
            assert_eq!(of_check(&verdicts, check::RIGHTS), [expected], "{right:?}");
            let problem = verdicts.iter().find(|verdict| verdict.status.is_problem());
            assert!(problem.is_none_or(|verdict| verdict.hint.as_ref().unwrap().ends_with("GRANT IT")));
        }
        let unknown = DatabaseObservation {
            report: Report { missing: None, ..observation(Vec::new()).report },
            ..observation(Vec::new())
        };
        assert_eq!(of_check(&judge_database(&question(both), &unknown), check::RIGHTS), [Skipped]);
    }

    #[test]
    fn many_tables_are_one_sentence() {
        let missing = ["a", "b", "posts", "tags", "users"];
        let missing =
            missing.map(|name| MissingRight { right: Right::UseTable(name.into()), grant: "G".into() });
        let verdicts = judge_database(&question(Needs::default()), &observation(missing.into()));
        let rights: Vec<_> = verdicts.iter().filter(|verdict| verdict.check == check::RIGHTS).collect();
        assert_eq!(rights.len(), 1);
        assert!(rights[0].message.contains("the tables \"a\", \"b\", \"posts\" and 2 more"), "{rights:?}");
    }

    #[test]
    fn versions_of_tables_are_compared_with_the_hosts() {
        let with = |version| judge_tables(&DatabaseObservation { version, ..observation(Vec::new()) });
        assert_eq!(with(Ok(SYSTEM_VERSION.to_owned())).status, Passed);
        let older = with(Ok("0.0.1".to_owned()));
        assert_eq!(older.status, Warning);
        assert!(older.message.contains("0.0.1") && older.message.contains(SYSTEM_VERSION));
        let newer = RpcError::new(ErrorKind::VersionTooNew, "it is of version 9").hint("install it");
        let newer = with(Err(newer));
        assert_eq!((newer.status, newer.hint.as_deref()), (Failed, Some("install it")));
    }

    #[test]
    fn encodings_that_cannot_hold_every_text_are_named() {
        let usual = observation(Vec::new());
        assert_eq!(judge_encoding(&usual)[0].status, Passed);
        let narrow = |table: &str| DatabaseObservation {
            report: Report {
                narrow_tables: vec![(table.to_owned(), "ALTER TABLE it".to_owned())],
                ..observation(Vec::new()).report
            },
            ..observation(Vec::new())
        };
        assert_eq!(judge_encoding(&narrow("posts"))[0].status, Warning);
        assert_eq!(judge_encoding(&narrow("theirs"))[0].status, Passed);
        let latin = DatabaseObservation { encoding: Some(("it is LATIN1".into(), "CREATE".into())), ..usual };
        assert_eq!(judge_encoding(&latin)[0].status, Warning);
    }
}
