//! Databases: each is opened once, with a connection of its own, and asked what it says of itself. One database of a
//! server is looked at after the other, so that the checks take one connection from the applications on it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::database_observation::{DatabaseObservation, DatabaseQuestion};
use super::database_verdicts::{judge_database, judge_server};
use super::files::{DatabaseFile, judge_database_file};
use super::verdict::{Found, Subject, Verdict, check};
use crate::app;
use crate::data::DataSource;
use crate::database::{Database, DatabaseError, Location};
use crate::supervisor::ErrorContext;

/// How long one database may take to answer everything.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(10);

/// The most SQLite files that are looked at at the same time.
const MAX_FILES_AT_ONCE: usize = 4;

/// The servers of all databases that are looked at.
#[derive(Debug, Default)]
pub(super) struct Servers(Mutex<HashMap<String, Arc<Server>>>);

#[derive(Debug)]
struct Server {
    turn: Semaphore,
    /// Whether somebody has reported on the server itself.
    is_reported: Mutex<bool>,
    /// The users that cannot reach it.
    unreached: Mutex<BTreeSet<String>>,
}

impl Servers {
    fn of(&self, location: &Location) -> Arc<Server> {
        let (name, turns) = match location.server_database() {
            Some(at) => (at.server.to_string(), 1),
            None => (String::new(), MAX_FILES_AT_ONCE),
        };
        let new = || {
            let turn = Semaphore::new(turns);
            Arc::new(Server { turn, is_reported: Mutex::default(), unreached: Mutex::default() })
        };
        Arc::clone(self.0.lock().entry(name).or_insert_with(new))
    }
}

/// Looks at a database, and at its server if nobody else has.
pub(super) async fn examine(question: DatabaseQuestion, servers: &Servers) -> Vec<Found> {
    let server = servers.of(&question.location);
    // The semaphore is never closed; without a permit the check would run all the same.
    let _turn = server.turn.acquire().await;
    let subject = Subject::Application(question.id.clone());
    let user = question.location.server_database().map(|at| at.server.user.clone());
    if let Some(user) = &user
        && server.unreached.lock().contains(user)
    {
        let sentence = format!("{} was not looked at: its server cannot be reached", question.location);
        return vec![Verdict::skipped(check::DATABASE, sentence).about(subject)];
    }
    let mut found = Vec::new();
    if let Location::Sqlite(path) = question.location.clone() {
        let directory = question.data_directory.clone();
        let looked =
            tokio::task::spawn_blocking(move || judge_database_file(DatabaseFile::at(&path, &directory)));
        let verdicts = looked.await.unwrap_or_default().into_iter();
        found.extend(verdicts.map(|verdict| verdict.about(subject.clone())));
    }
    let verdict = match tokio::time::timeout(DATABASE_TIMEOUT, observe(&question)).await {
        Ok(Ok(observation)) => {
            found.extend(judge(&question, &observation, &server, &subject));
            return found;
        }
        Ok(Err(DatabaseError::Missing(_))) if question.may_be_missing => {
            Verdict::ok(check::DATABASE, format!("the first start creates {}", question.location))
        }
        Ok(Err(error)) => {
            if let (Some(user), DatabaseError::Unreachable(_)) = (user, &error) {
                server.unreached.lock().insert(user);
            }
            let error = error.while_doing(format!("looking at the database of \"{}\"", question.id));
            Verdict::failed(check::DATABASE, error.message, error.data.hint.unwrap_or_default())
        }
        Err(_) => Verdict::failed(
            check::DATABASE,
            format!("{} did not answer within {} s", question.location, DATABASE_TIMEOUT.as_secs()),
            "see on its machine whether the server is overloaded, stopped or waits for a lock",
        ),
    };
    found.push(verdict.about(subject));
    found
}

fn judge(
    question: &DatabaseQuestion,
    observation: &DatabaseObservation,
    server: &Server,
    subject: &Subject,
) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(at) = question.location.server_database()
        && !std::mem::replace(&mut *server.is_reported.lock(), true)
    {
        let of_server = Subject::Server(at.server.to_string());
        let verdicts = judge_server(observation, question.configured_connections).into_iter();
        found.extend(verdicts.map(|verdict| verdict.about(of_server.clone())));
    }
    let verdicts = judge_database(question, observation).into_iter();
    found.extend(verdicts.map(|verdict| verdict.about(subject.clone())));
    found
}

async fn observe(question: &DatabaseQuestion) -> Result<DatabaseObservation, DatabaseError> {
    let database = Database::open_apart(&question.location).await?.with_table_prefix(&question.table_prefix);
    let observed = observe_open(&database).await;
    database.close().await;
    observed
}

async fn observe_open(database: &Database) -> Result<DatabaseObservation, DatabaseError> {
    let before = Utc::now();
    let report = database.report().await?;
    let after = Utc::now();
    let encoding = database.encoding_problem().await?;
    let source = DataSource::new(database.clone());
    let version = app::check_version(&source).await;
    let version = version.map_err(|error| error.while_doing("checking the version of its tables"));
    // Without them, the version has failed, too.
    let tables = app::tables(&source).await.unwrap_or_default().into_iter().collect();
    let ahead = report.clock.map(|clock| ahead(clock, before, after));
    Ok(DatabaseObservation { report, ahead, encoding, version, tables })
}

/// How far a clock is ahead of this machine's, which it was read on between two moments; negative if it is behind.
fn ahead(clock: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> TimeDelta {
    if clock > after {
        clock - after
    } else if clock < before {
        clock - before
    } else {
        TimeDelta::zero()
    }
}

/// Reads a whole SQLite file, and judges it. `turns` limits how many files are read at a time.
pub(super) async fn examine_integrity(location: Location, turns: &Semaphore) -> Vec<Verdict> {
    // The semaphore is never closed; without a permit the check would run all the same.
    let _turn = turns.acquire().await;
    let problems = match Database::open_apart(&location).await {
        Ok(database) => {
            let problems = database.integrity_problems().await;
            database.close().await;
            problems
        }
        Err(error) => Err(error),
    };
    match problems {
        Ok(None) => Vec::new(),
        Ok(Some(problems)) if problems.is_empty() => {
            vec![Verdict::ok(check::INTEGRITY, format!("every page of {location} is sound"))]
        }
        Ok(Some(problems)) => vec![damaged(format!("{location} is damaged: {}", problems.join("; ")))],
        // So badly that it cannot even be read to the end.
        Err(DatabaseError::Corrupt(sentence)) => vec![damaged(sentence)],
        Err(error) => {
            let error = error.while_doing(format!("reading {location}"));
            vec![Verdict::failed(check::INTEGRITY, error.message, error.data.hint.unwrap_or_default())]
        }
    }
}

fn damaged(sentence: String) -> Verdict {
    Verdict::failed(
        check::INTEGRITY,
        sentence,
        "stop the application, keep a copy of the file with its -wal file, and restore a backup; the command .recover of \
         sqlite3 saves what can be read",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_or_behind_by_what_cannot_be_the_time_of_the_question() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        for (clock, seconds) in [(100, 0), (105, 0), (110, 0), (115, 5), (90, -10)] {
            assert_eq!(ahead(at(clock), at(100), at(110)), TimeDelta::seconds(seconds), "{clock}");
        }
    }
}
