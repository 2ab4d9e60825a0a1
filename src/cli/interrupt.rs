//! Ctrl-C while the daemon works on a command. The command goes on there; this process says how to find it
//! again, and ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::error::CliError;
use super::output::Console;
use crate::protocol::wait_hint;

/// A method, and the application that it is called for.
type Key = (&'static str, String);

/// The commands that the daemon works on for this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnderWay {
    is_watched: Arc<AtomicBool>,
    /// The ID of each command's operation, once it is known.
    commands: Arc<Mutex<BTreeMap<Key, Option<String>>>>,
}

/// A command that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Command {
    key: Key,
    all: UnderWay,
}

impl UnderWay {
    /// For a command in a shell, which watches for Ctrl-C itself, and goes on after it.
    pub(crate) fn watched_by_shell() -> Self {
        Self { is_watched: Arc::new(AtomicBool::new(true)), ..Self::default() }
    }

    /// Notes that a command begins. From the first one on, Ctrl-C ends the process with words.
    pub(crate) fn begin(&self, console: &Console, method: &'static str, subject: &str) -> Command {
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            let (all, console) = (self.clone(), console.clone());
            tokio::spawn(async move {
                // Where signals cannot be received, Ctrl-C simply ends the process.
                if tokio::signal::ctrl_c().await.is_ok() {
                    let error = all.interrupted();
                    console.end_spinners();
                    console.error(&error);
                    std::process::exit(i32::from(error.exit() as u8));
                }
            });
        }
        let key = (method, subject.to_owned());
        self.commands.lock().insert(key.clone(), None);
        Command { key, all: self.clone() }
    }

    /// What goes on, and how to find it again.
    pub(crate) fn interrupted(&self) -> CliError {
        let commands = self.commands.lock();
        let names: Vec<String> =
            commands.keys().map(|(method, subject)| format!("{method} of {subject}")).collect();
        let message = match names.as_slice() {
            [] => "interrupted".to_owned(),
            [one] => format!("interrupted; {one} goes on"),
            several => format!("interrupted; these go on: {}", several.join(", ")),
        };
        let mut known = commands.iter().filter_map(|(key, operation)| Some((key.0, operation.as_deref()?)));
        let hint = match (known.next(), commands.len()) {
            (Some((method, operation)), 1) => wait_hint(method, operation),
            _ => "list the running operations with: nbapps operation list".to_owned(),
        };
        CliError::Interrupted { message, hint: (!commands.is_empty()).then_some(hint) }
    }
}

impl Command {
    /// Notes the operation that the command is.
    pub(crate) fn is_operation(&self, operation: &str) {
        self.all.commands.lock().insert(self.key.clone(), Some(operation.to_owned()));
    }

    /// How to find the command again when the daemon's answer does not arrive, if its operation is known.
    pub(crate) fn found_by(&self) -> Option<String> {
        let operation = self.all.commands.lock().get(&self.key)?.clone()?;
        Some(wait_hint(self.key.0, &operation))
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        self.all.commands.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{Color, Format};

    #[tokio::test]
    async fn what_was_interrupted_is_said_with_how_to_find_it() {
        let console = Console::new(Format::Table, Color::Never, true);
        let all = UnderWay::default();
        let said = || {
            let error = all.interrupted();
            format!("{error} / {}", error.hint().unwrap_or_default())
        };
        let list = "list the running operations with: nbapps operation list";
        assert_eq!(said(), "interrupted / ");
        let create = all.begin(&console, "app.create", "crm");
        assert_eq!(said(), format!("interrupted; app.create of crm goes on / {list}"));
        create.is_operation("x");
        assert_eq!(
            said(),
            "interrupted; app.create of crm goes on / wait for it with: nbapps operation wait x, which also shows \
             the first user's password, once"
        );
        let stop = all.begin(&console, "app.stop", "hr");
        assert_eq!(said(), format!("interrupted; these go on: app.create of crm, app.stop of hr / {list}"));
        drop(create);
        drop(stop);
        assert_eq!(said(), "interrupted / ");
    }
}
