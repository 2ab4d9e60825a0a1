//! Invariants that no permission overrides. Each check takes everything that it needs as arguments;
//! its error is the sentence to answer with.

use http::StatusCode;

use super::definition::ROOT;

/// The roles that every application has.
const BUILT_IN: [&str; 3] = [ROOT, "admin", "member"];

/// The scopes that every application has.
const BUILT_IN_SCOPES: [&str; 2] = ["all", "own"];

/// Why something is refused whoever asks for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvariantError {
    /// The role `root` is as it is.
    #[error("the role root cannot be changed")]
    RootIsFixed,
    /// The role `root` is given once, when the application is made.
    #[error("the role root cannot be given to anybody")]
    RootIsNotGiven,
    /// Somebody must be able to do everything.
    #[error("the last user with the role root must keep it")]
    LastRoot,
    /// Somebody must be able to do everything.
    #[error("the last user with the role root cannot be removed")]
    LastRootUser,
    /// A user who is not root would become root by changing the password of one.
    #[error("only a user who acts as root may change one who has the role root")]
    RootUser,
    /// It belongs to every application.
    #[error("the role {0} belongs to every application and cannot be removed")]
    BuiltInRole(String),
    /// New users would have no role.
    #[error("the role {0} is given to new users: make another one the default first")]
    DefaultRole(String),
    /// It belongs to every application.
    #[error("the scope {0} belongs to every application and cannot be changed or removed")]
    BuiltInScope(String),
}

impl InvariantError {
    /// The HTTP status: 400 where doing something else first helps, else 403.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::DefaultRole(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        }
    }
}

/// Whether a role may be removed. Who has it does not matter: they lose it.
pub fn check_role_destroy(name: &str, is_default: bool) -> Result<(), InvariantError> {
    if BUILT_IN.contains(&name) {
        return Err(InvariantError::BuiltInRole(name.to_owned()));
    }
    if is_default { Err(InvariantError::DefaultRole(name.to_owned())) } else { Ok(()) }
}

/// Whether a role, its resources or its menus may be changed.
pub fn check_role_update(name: &str) -> Result<(), InvariantError> {
    if name == ROOT { Err(InvariantError::RootIsFixed) } else { Ok(()) }
}

/// Whether a role may be given to a user who does not have it yet.
pub fn check_role_given(name: &str) -> Result<(), InvariantError> {
    if name == ROOT { Err(InvariantError::RootIsNotGiven) } else { Ok(()) }
}

/// Whether a role may be taken from a user who has it; `root_users`: how many users are root.
pub fn check_role_taken(name: &str, acts_as_root: bool, root_users: u64) -> Result<(), InvariantError> {
    match name {
        ROOT if !acts_as_root => Err(InvariantError::RootUser),
        ROOT if root_users <= 1 => Err(InvariantError::LastRoot),
        _ => Ok(()),
    }
}

/// Whether a user may be changed: its password, its names, its roles. NocoBase lets every user of
/// `users:update` set the root user's password.
pub fn check_user_change(has_root: bool, acts_as_root: bool) -> Result<(), InvariantError> {
    if has_root && !acts_as_root { Err(InvariantError::RootUser) } else { Ok(()) }
}

/// Whether a user may be removed; `root_users`: how many users are root.
pub fn check_user_destroy(has_root: bool, acts_as_root: bool, root_users: u64) -> Result<(), InvariantError> {
    check_user_change(has_root, acts_as_root)?;
    if has_root && root_users <= 1 { Err(InvariantError::LastRootUser) } else { Ok(()) }
}

/// Whether a scope may be changed or removed, by its key.
pub fn check_scope_change(key: &str) -> Result<(), InvariantError> {
    if BUILT_IN_SCOPES.contains(&key) { Err(InvariantError::BuiltInScope(key.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_and_default_roles_stay() {
        for name in ["root", "admin", "member"] {
            let error = check_role_destroy(name, false).unwrap_err();
            assert_eq!(
                (error.status(), error),
                (StatusCode::FORBIDDEN, InvariantError::BuiltInRole(name.into()))
            );
        }
        let error = check_role_destroy("staff", true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the role staff is given to new users: make another one the default first"
        );
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(check_role_destroy("staff", false), Ok(()));
    }

    #[test]
    fn root_is_neither_changed_nor_given_nor_lost() {
        assert_eq!(check_role_update("root"), Err(InvariantError::RootIsFixed));
        assert_eq!(check_role_update("admin"), Ok(()));
        assert_eq!(check_role_given("root"), Err(InvariantError::RootIsNotGiven));
        assert_eq!(check_role_given("admin"), Ok(()));
        assert_eq!(check_role_taken("root", true, 1), Err(InvariantError::LastRoot));
        assert_eq!(check_role_taken("root", true, 2), Ok(()));
        assert_eq!(check_role_taken("root", false, 2), Err(InvariantError::RootUser));
        assert_eq!(check_role_taken("admin", false, 1), Ok(()));
    }

    #[test]
    fn a_root_user_is_changed_by_root_alone_and_the_last_one_is_kept() {
        assert_eq!(check_user_change(true, false), Err(InvariantError::RootUser));
        assert_eq!(check_user_change(true, true), Ok(()));
        assert_eq!(check_user_change(false, false), Ok(()));
        assert_eq!(check_user_destroy(true, true, 1), Err(InvariantError::LastRootUser));
        assert_eq!(check_user_destroy(true, true, 2), Ok(()));
        assert_eq!(check_user_destroy(true, false, 2), Err(InvariantError::RootUser));
        assert_eq!(check_user_destroy(false, false, 1), Ok(()));
    }

    #[test]
    fn built_in_scopes_stay() {
        assert!(check_scope_change("all").is_err() && check_scope_change("own").is_err());
        assert_eq!(check_scope_change("mine"), Ok(()));
    }
}
