//! The line that is completed, for the completers of values: clap gives them the word at the cursor alone.

use std::cell::RefCell;
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::kept::KeptConnection;
use crate::client::Address;
use crate::client::contexts::ContextName;
use crate::client::discovery::{ContextChoice, Designation, Reason, Target};
use crate::protocol::AppId;

thread_local! {
    static LINE: RefCell<CompletedLine> = RefCell::default();
}

/// What completers know of the line. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompletedLine {
    /// The words before the cursor.
    pub(crate) before: Vec<OsString>,
    /// Those among them that are neither commands nor options nor values of options.
    pub(crate) positionals: Vec<OsString>,
    /// The shell of nbapps that the line is typed into; `None` in a shell of the system.
    pub(crate) shell: Option<Rc<ShellSession>>,
}

/// What a shell of nbapps gives its completion.
#[derive(Debug)]
pub(crate) struct ShellSession {
    /// What lines mean that name no daemon; `None` where that is not clear.
    pub(crate) designation: Option<Designation>,
    /// The application that lines mean which name none.
    pub(crate) used: Option<AppId>,
    /// The connection of the commands.
    pub(crate) kept: Arc<KeptConnection>,
    /// On which the connection lives. Nothing runs on it while a line is typed.
    pub(crate) runtime: Rc<Runtime>,
}

impl CompletedLine {
    /// Makes this the line that this thread completes.
    pub(crate) fn begin(self) {
        LINE.set(self);
    }

    /// The line that this thread completes.
    pub(crate) fn current() -> Self {
        LINE.with_borrow(Clone::clone)
    }

    /// What the line means: what its options name, else the shell's, else the environment and the current context.
    pub(crate) fn designation(&self) -> Option<Designation> {
        match (named(&self.before), &self.shell) {
            (Some(named), _) => named,
            (None, Some(shell)) => shell.designation.clone(),
            (None, None) => Designation::of_environment().ok(),
        }
    }
}

/// Whether an option of these words names a daemon.
pub(crate) fn names_daemon(words: &[OsString]) -> bool {
    named(words).is_some()
}

/// What the last option of these words that names a daemon means; `Some(None)` for an invalid one.
fn named(words: &[OsString]) -> Option<Option<Designation>> {
    let mut words = words.iter();
    let mut named = None;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let (option, value) = match text.split_once('=') {
            Some((option, value)) => (option, Some(OsString::from(value))),
            None => (&*text, None),
        };
        let of_value: fn(OsString) -> Option<Designation> = match option {
            "--socket" => by_socket,
            "--host" => by_host,
            "--context" => by_context,
            _ => continue,
        };
        named = Some(value.or_else(|| words.next().cloned()).and_then(of_value));
    }
    named
}

fn by_socket(path: OsString) -> Option<Designation> {
    Some(Designation::One(Target::new(Address::Socket(path.into()), Reason::Option("--socket"))))
}

fn by_host(url: OsString) -> Option<Designation> {
    let address = url.to_str()?.parse().ok()?;
    Some(Designation::One(Target::new(address, Reason::Option("--host"))))
}

fn by_context(name: OsString) -> Option<Designation> {
    let name: ContextName = name.to_str()?.parse().ok()?;
    Designation::of_context(name, ContextChoice::Option).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_the_one_that_the_options_name() {
        let address = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            named(&words).map(|named| named.map(|named| named.find().address))
        };
        let socket = |path: &str| Some(Some(Address::Socket(path.into())));
        for (words, expected) in [
            (&["nbapps", "stop"][..], None),
            (&["nbapps", "--socket", "/a", "stop"], socket("/a")),
            (&["nbapps", "stop", "--socket=/b"], socket("/b")),
            (&["nbapps", "--host", "ssh://x", "stop"], Some("ssh://x".parse().ok())),
            (&["nbapps", "--host=ssh://x", "stop"], Some("ssh://x".parse().ok())),
            // What is wrong means no other daemon.
            (&["nbapps", "--host", "x", "stop"], Some(None)),
            (&["nbapps", "--context", "a b", "stop"], Some(None)),
            (&["nbapps", "stop", "--context"], Some(None)),
        ] {
            assert_eq!(address(words), expected, "{words:?}");
        }
        let local = named(&["nbapps".into(), "--context=local".into()]).flatten();
        assert!(matches!(local, Some(Designation::Here(Some(_)))), "{local:?}");
    }

    #[test]
    fn a_line_of_a_shell_means_its_daemon() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let far: Address = "ssh://ops@server".parse().unwrap();
        let designation = Some(Designation::One(Target::new(far.clone(), Reason::Option("--host"))));
        let session = ShellSession {
            designation: designation.clone(),
            used: None,
            kept: Arc::default(),
            runtime: Rc::new(runtime),
        };
        let shell = Some(Rc::new(session));
        let line = |words: &[&str]| CompletedLine {
            before: words.iter().map(Into::into).collect(),
            positionals: Vec::new(),
            shell: shell.clone(),
        };
        assert_eq!(line(&["nbapps", "show"]).designation(), designation);
        let near = line(&["nbapps", "show", "--socket", "/s"]).designation().unwrap();
        assert_eq!(near.find().address, Address::Socket("/s".into()));
    }
}
