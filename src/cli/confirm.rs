//! Asks before a command destroys something, or stops what others use. The question names the daemon where that is
//! not simply this machine's: a context that was forgotten must not cost an application.

use super::context::Context;
use super::error::CliError;
use super::output::somebody_is_there;
use crate::client::Address;
use crate::client::discovery::Target;

/// The place of a daemon, as questions name it: the other machine, or the context. `None` for this machine's daemon.
fn place(target: &Target) -> Option<String> {
    match (target.naming_context(), &target.address) {
        (Some(context), address) => Some(format!("{} ({address})", context.name)),
        (None, Address::Ssh(host)) => Some(host.to_string()),
        (None, Address::Socket(_)) => None,
    }
}

/// ` on ` and the place of the command's daemon; empty for this machine's.
pub(crate) fn on_place(context: &Context) -> Result<String, CliError> {
    Ok(place(&context.target()?).map_or_else(String::new, |place| format!(" on {place}")))
}

/// Whether an answer confirms.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.to_lowercase().as_str(), "y" | "yes")
}

/// Asks at a terminal whether to do something to a daemon that runs on another machine, or that a context names. For
/// this machine's daemon nobody is asked, nor without a terminal: a script means what it says.
///
/// # Errors
/// When it is not confirmed.
pub(crate) fn on_another_machine(context: &Context, yes: bool, to_do: &str) -> Result<(), CliError> {
    let ask = |question: &str| context.console.prompt(question);
    confirm(yes, somebody_is_there(), &on_place(context)?, to_do, ask)
}

fn confirm(
    yes: bool,
    somebody_is_there: bool,
    on_place: &str,
    to_do: &str,
    ask: impl FnOnce(&str) -> Result<String, CliError>,
) -> Result<(), CliError> {
    if yes || !somebody_is_there || on_place.is_empty() {
        return Ok(());
    }
    let (first, rest) = to_do.split_at(1);
    let answer = ask(&format!("{}{rest}{on_place}? [y/N]", first.to_uppercase()))?;
    match is_yes(&answer) {
        true => Ok(()),
        false => Err(CliError::Refused {
            message: format!("to {to_do}{on_place} was not confirmed; nothing was done"),
            hint: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::discovery::{ChosenContext, ContextChoice, Reason};

    #[test]
    fn a_place_is_named_where_it_is_not_simply_here() {
        let far: Address = "ssh://ops@server".parse().unwrap();
        let near = Address::Socket("/s".into());
        let context =
            |name: &str| Some(ChosenContext { name: name.parse().unwrap(), by: ContextChoice::Current });
        for (address, reason, context, expected) in [
            (&far, Reason::Option("--host"), None, Some("ssh://ops@server")),
            (&far, Reason::Context, context("prod"), Some("prod (ssh://ops@server)")),
            (&near, Reason::Context, context("test"), Some("test (/s)")),
            (&near, Reason::DefaultSocket, context("local"), None),
            (&near, Reason::Variable("NBAPPS_SOCKET"), None, None),
        ] {
            let target = Target { address: address.clone(), reason, context };
            assert_eq!(place(&target).as_deref(), expected);
        }
    }

    #[test]
    fn only_another_place_is_asked_about_and_only_at_a_terminal() {
        for (yes, terminal, on_place, answer, confirmed) in [
            (false, true, " on prod", Some("y"), true),
            (false, true, " on prod", Some("YES"), true),
            (false, true, " on prod", Some("n"), false),
            (false, true, " on prod", Some(""), false),
            (true, true, " on prod", None, true),
            (false, false, " on prod", None, true),
            (false, true, "", None, true),
        ] {
            let ask = |question: &str| {
                assert_eq!(question, "Stop the daemon on prod? [y/N]");
                Ok(answer.unwrap().to_owned())
            };
            let result = confirm(yes, terminal, on_place, "stop the daemon", ask);
            assert_eq!(result.is_ok(), confirmed, "{yes} {terminal} {on_place} {answer:?}");
        }
    }
}
