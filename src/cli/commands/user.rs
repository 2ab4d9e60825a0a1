//! `nbapps user`: the users of an application.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{Format, people, somebody_is_there};
use crate::cli::values::{self, SecretFiles};
use crate::protocol::methods::{
    Method, UserAdd, UserDelete, UserDisable, UserEnable, UserGet, UserListMethod, UserPasswd, UserRole,
};
use crate::protocol::{AddUser, AppId, ChangeRoles, ListUsers, OneUser, SetPassword, User, UserChanged};

/// List, add, change and delete the users of an application
///
/// The application starts if it is not running and a visit may start it. Its own rules hold: for passwords, for
/// names, and that somebody enabled keeps the role root. USER is a number, an e-mail address or a user name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps user passwd crm
  nbapps user add crm --email ada@example.com --role admin")]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    List(List),
    Add(Add),
    Passwd(Passwd),
    Role(Role),
    Disable(Disable),
    Enable(Enable),
    Delete(Delete),
}

/// List the users of an application
#[derive(Debug, Args)]
#[command(visible_alias = "ls")]
#[command(after_help = "\
Examples:
  nbapps user list crm
  nbapps user list crm -o json")]
struct List {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,
}

/// Add a user to an application
///
/// Prints the password once when it is generated.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps user add crm --email ada@example.com --role admin
  pass bob | nbapps user add crm --email bob@x.com --password-stdin")]
struct Add {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The user's e-mail address
    #[arg(long, value_name = "EMAIL", value_hint = ValueHint::EmailAddress)]
    email: String,

    /// The user's user name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,

    /// The user's display name
    #[arg(long, value_name = "NAME")]
    nickname: Option<String>,

    /// A role of the user; may be given several times [default: the application's default role]
    #[arg(long = "role", value_name = "ROLE", add = complete::roles())]
    roles: Vec<String>,

    #[command(flatten)]
    password: NewPassword,
}

/// Set a user's password; the user's sessions end at once
///
/// Without USER, sets that of the first root user. Prints the password once when it is generated. Forgets the
/// user's failed sign-ins. API keys stay as they are; see nbapps key list.
#[derive(Debug, Args)]
#[command(visible_alias = "password")]
#[command(after_help = "\
Examples:
  nbapps user passwd crm
  nbapps user passwd crm ada@example.com --password-file ./password")]
struct Passwd {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The user [default: the first root user]
    #[arg(value_name = "USER", add = complete::users())]
    user: Option<String>,

    #[command(flatten)]
    password: NewPassword,
}

/// Where a password is read from.
#[derive(Debug, Args)]
struct NewPassword {
    /// The password, in a file (- for standard input) [default: random, shown once]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    password_file: Option<PathBuf>,

    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
}

impl NewPassword {
    /// The password; `None` where one is to be generated, which the output must show.
    fn read(&self, context: &Context) -> Result<Option<String>, CliError> {
        let (option, path) = match (&self.password_file, self.password_stdin) {
            (Some(path), _) => ("--password-file", path.as_path()),
            (None, true) => ("--password-stdin", Path::new("-")),
            (None, false) if context.console.format == Format::Name => {
                return Err(CliError::usage(
                    "a password would be generated, and --output name does not show it",
                    "give one with --password-file, or use another format, such as -o json",
                ));
            }
            (None, false) => return Ok(None),
        };
        SecretFiles::default().read(option, path).map(Some)
    }
}

/// Give roles to a user, take roles from it, or set the role it begins with
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  nbapps user role crm ada@example.com --add admin --default admin
  nbapps user role crm bob --remove admin")]
struct Role {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The user
    #[arg(value_name = "USER", add = complete::users())]
    user: String,

    /// Give this role; may be given several times
    #[arg(long, value_name = "ROLE", group = "change", add = complete::roles())]
    add: Vec<String>,

    /// Take this role; may be given several times
    #[arg(long, value_name = "ROLE", group = "change", add = complete::roles())]
    remove: Vec<String>,

    /// The role that the user begins with after signing in
    #[arg(long, value_name = "ROLE", group = "change", add = complete::roles())]
    default: Option<String>,
}

/// Disable a user: it cannot sign in, its sessions end at once, its API keys are refused
///
/// The user keeps its password, its roles and its API keys for when it is enabled again. The last enabled user
/// with the role root cannot be disabled.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps user disable crm ada@example.com
  nbapps user list crm")]
struct Disable {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The user
    #[arg(value_name = "USER", add = complete::users())]
    user: String,
}

/// Enable a disabled user, with the password and the API keys it had
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps user enable crm ada@example.com
  nbapps user passwd crm ada@example.com")]
struct Enable {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The user
    #[arg(value_name = "USER", add = complete::users())]
    user: String,
}

/// Delete a user, with its sessions and API keys; cannot be undone
///
/// Asks before it deletes. Without a terminal it refuses, unless --yes is given.
#[derive(Debug, Args)]
#[command(visible_alias = "rm")]
#[command(after_help = "\
Examples:
  nbapps user delete crm ada@example.com
  nbapps user delete crm 7 --yes")]
struct Delete {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The user
    #[arg(value_name = "USER", add = complete::users())]
    user: String,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl UserArgs {
    /// Runs the command on users.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            UserCommand::List(list) => list.run(context).await,
            UserCommand::Add(add) => add.run(context).await,
            UserCommand::Passwd(passwd) => passwd.run(context).await,
            UserCommand::Role(role) => {
                let Role { id, user, add, remove, default } = role;
                let request = ChangeRoles { id, user, add, remove, default };
                change::<UserRole>(context, request, "changed").await
            }
            UserCommand::Disable(Disable { id, user }) => {
                change::<UserDisable>(context, OneUser { id, user }, "disabled").await
            }
            UserCommand::Enable(Enable { id, user }) => {
                change::<UserEnable>(context, OneUser { id, user }, "enabled").await
            }
            UserCommand::Delete(delete) => delete.run(context).await,
        }
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let mut users: Vec<User> = Vec::new();
        let mut after = None;
        loop {
            let list = ListUsers { id: self.id.clone(), after, running_only: false };
            let page = context.ask::<UserListMethod>(&client, list).await?;
            users.extend(page.users);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let numbers: Vec<String> = users.iter().map(|user| user.id.to_string()).collect();
        if context.console.format == Format::Name {
            return context.console.raw(&numbers.join("\n"));
        }
        let console = &context.console;
        let wide = console.format == Format::Wide;
        console.list(&users, |_| "", || people::users(&users, wide, console.width()))
    }
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let password = self.password.read(context)?;
        let Self { id, email, username, nickname, roles, .. } = self;
        let request = AddUser { id, email, username, nickname, roles, password };
        change::<UserAdd>(context, request, "added").await
    }
}

impl Passwd {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let password = self.password.read(context)?;
        let request = SetPassword { id: self.id, user: self.user, password };
        change::<UserPasswd>(context, request, "password set").await
    }
}

impl Delete {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { id, user, yes } = self;
        let mut one = OneUser { id, user };
        if !yes {
            let client = context.connect().await?;
            // Nobody is asked about a user who does not exist.
            let found = context.ask::<UserGet>(&client, one.clone()).await?;
            let ask = |question: &str| context.console.prompt(question);
            confirm(&one.id, &name(&found), somebody_is_there(), ask)?;
            // Not another one who has taken the name meanwhile.
            one.user = found.id.to_string();
        }
        change::<UserDelete>(context, one, "deleted").await
    }
}

/// What a user is called in a question.
fn name(user: &User) -> String {
    let name = user.email.as_ref().or(user.username.as_ref());
    name.map_or_else(|| user.id.to_string(), |name| format!("{name} ({})", user.id))
}

/// Asks for a confirmation, or refuses.
fn confirm(
    id: &AppId,
    user: &str,
    somebody_is_there: bool,
    ask: impl FnOnce(&str) -> Result<String, CliError>,
) -> Result<(), CliError> {
    if !somebody_is_there {
        return Err(CliError::refused(
            format!(
                "to delete the user {user} of {id} needs a confirmation, and there is no terminal to ask at"
            ),
            "add --yes to go on without being asked",
        ));
    }
    let answer = ask(&format!("Delete the user {user} of {id}? This cannot be undone. [y/N]"))?;
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Refused {
            message: format!("to delete the user {user} of {id} was not confirmed; nothing was done"),
            hint: None,
        }),
    }
}

/// Changes a user and prints the result.
async fn change<M: Method<Result = UserChanged>>(
    context: &Context,
    request: M::Params,
    done: &str,
) -> Result<(), CliError> {
    let client = context.connect().await?;
    let changed = context.ask::<M>(&client, request).await?;
    let number = changed.user.id.to_string();
    context.console.show(&changed, &number, || people::changed(&changed, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_answers_confirm() {
        let id = AppId::parse("crm").unwrap();
        for (terminal, answer, confirmed) in [
            (true, "y", true),
            (true, "Yes", true),
            (true, "", false),
            (true, "ada", false),
            (false, "y", false),
        ] {
            let result = confirm(&id, "ada", terminal, |_| Ok(answer.to_owned()));
            assert_eq!(result.is_ok(), confirmed, "{terminal} {answer}");
            assert!(matches!(result, Ok(()) | Err(CliError::Refused { .. })));
        }
    }
}
