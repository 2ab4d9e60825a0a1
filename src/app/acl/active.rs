//! Chooses the roles in which a request acts.

use super::definition::ROOT;

/// The name that stands for all roles of a user together, in `X-Role` and as a default role.
pub const UNION_ROLE: &str = "__union__";

/// `systemSettings.roleMode`: whether users act in one role or in all of theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoleMode {
    /// In one role at a time.
    #[default]
    Default,
    /// In one, or in all of them where they choose so.
    AllowUseUnion,
    /// Always in all of them.
    OnlyUseUnion,
}

impl RoleMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::AllowUseUnion, Self::OnlyUseUnion];

    /// The mode of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::AllowUseUnion => "allow-use-union",
            Self::OnlyUseUnion => "only-use-union",
        }
    }
}

/// A role that a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRole<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether the user begins with it.
    pub default: bool,
}

/// The roles in which a request acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActiveRoles<'a> {
    /// One.
    One([&'a str; 1]),
    /// All roles of the user together.
    Union(Vec<&'a str>),
}

impl<'a> ActiveRoles<'a> {
    /// Their names, for [`super::Acl::permission`].
    #[must_use]
    pub fn names(&self) -> &[&'a str] {
        match self {
            Self::One(one) => one,
            Self::Union(all) => all,
        }
    }

    /// The one name that clients know: the role's, or [`UNION_ROLE`].
    #[must_use]
    pub fn current(&self) -> &'a str {
        match self {
            Self::One([one]) => one,
            Self::Union(_) => UNION_ROLE,
        }
    }

    /// Whether it acts as root.
    #[must_use]
    pub fn has_root(&self) -> bool {
        self.names().contains(&ROOT)
    }
}

/// Why a request acts in no role. Answered with 401, as NocoBase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// The user has none.
    #[error("the user has no roles: sign in with another account")]
    NoRoles,
    /// The user does not have the one that was asked for.
    #[error("the user does not have the role that X-Role names")]
    NotHeld,
}

impl ChooseError {
    /// NocoBase's code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoRoles => "USER_HAS_NO_ROLES_ERR",
            Self::NotHeld => "ROLE_NOT_FOUND_FOR_USER",
        }
    }
}

/// Chooses among the roles that the user has: the one that `X-Role` names, else the user's default,
/// else the first. [`UNION_ROLE`] among those held only marks the default. In
/// [`RoleMode::Default`], asking for the union gives the default role; in
/// [`RoleMode::OnlyUseUnion`], `X-Role` is ignored.
pub fn choose<'a>(
    held: &[HeldRole<'a>],
    wanted: Option<&str>,
    mode: RoleMode,
) -> Result<ActiveRoles<'a>, ChooseError> {
    let roles = || held.iter().filter(|role| role.name != UNION_ROLE);
    let first = roles().next().ok_or(ChooseError::NoRoles)?;
    let union = || ActiveRoles::Union(roles().map(|role| role.name).collect());
    let wanted = wanted.filter(|name| !name.is_empty());
    if mode == RoleMode::OnlyUseUnion {
        return Ok(union());
    }
    match wanted {
        Some(UNION_ROLE) if mode == RoleMode::AllowUseUnion => return Ok(union()),
        None | Some(UNION_ROLE) => {}
        Some(name) => {
            let named = roles().find(|role| role.name == name).ok_or(ChooseError::NotHeld)?;
            return Ok(ActiveRoles::One([named.name]));
        }
    }
    let default =
        held.iter().find(|role| role.default && (role.name != UNION_ROLE || mode != RoleMode::Default));
    let default = default.unwrap_or(first);
    Ok(if default.name == UNION_ROLE { union() } else { ActiveRoles::One([default.name]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: [HeldRole<'_>; 3] = [
        HeldRole { name: "admin", default: false },
        HeldRole { name: "editor", default: true },
        HeldRole { name: "member", default: false },
    ];

    #[test]
    fn one_role_is_active_at_a_time_by_default() {
        for (wanted, expected) in
            [(None, "editor"), (Some(""), "editor"), (Some("admin"), "admin"), (Some(UNION_ROLE), "editor")]
        {
            let active = choose(&HELD, wanted, RoleMode::Default).unwrap();
            assert_eq!((active.names(), active.current()), (&[expected][..], expected), "{wanted:?}");
        }
        let undecided = [HeldRole { name: "a", default: false }, HeldRole { name: "b", default: false }];
        assert_eq!(choose(&undecided, None, RoleMode::Default).unwrap().current(), "a");
    }

    #[test]
    fn a_role_that_is_not_held_is_refused() {
        for mode in [RoleMode::Default, RoleMode::AllowUseUnion] {
            for name in ["nosuch", "root", "anonymous", "Admin"] {
                assert_eq!(choose(&HELD, Some(name), mode), Err(ChooseError::NotHeld), "{name}");
            }
        }
        assert_eq!(ChooseError::NotHeld.code(), "ROLE_NOT_FOUND_FOR_USER");
        let union_alone = [HeldRole { name: UNION_ROLE, default: true }];
        for held in [&[][..], &union_alone] {
            for mode in [RoleMode::Default, RoleMode::AllowUseUnion, RoleMode::OnlyUseUnion] {
                assert_eq!(choose(held, Some("admin"), mode), Err(ChooseError::NoRoles));
            }
        }
    }

    #[test]
    fn all_roles_are_active_where_the_mode_says_so() {
        let all = ["admin", "editor", "member"];
        let chosen = choose(&HELD, Some(UNION_ROLE), RoleMode::AllowUseUnion).unwrap();
        assert_eq!((chosen.names(), chosen.current()), (&all[..], UNION_ROLE));
        assert_eq!(choose(&HELD, None, RoleMode::AllowUseUnion).unwrap().current(), "editor");
        for wanted in [None, Some("admin"), Some("nosuch"), Some(UNION_ROLE)] {
            assert_eq!(choose(&HELD, wanted, RoleMode::OnlyUseUnion).unwrap().names(), all);
        }
    }

    #[test]
    fn the_union_can_be_a_users_default() {
        let held = [
            HeldRole { name: UNION_ROLE, default: true },
            HeldRole { name: "admin", default: false },
            HeldRole { name: "member", default: false },
        ];
        let names = |mode| choose(&held, None, mode).unwrap().names().to_vec();
        assert_eq!(names(RoleMode::AllowUseUnion), ["admin", "member"]);
        // Where the mode knows no union, it grants none.
        assert_eq!(names(RoleMode::Default), ["admin"]);
    }

    #[test]
    fn modes_have_their_names() {
        for name in ["default", "allow-use-union", "only-use-union"] {
            assert_eq!(RoleMode::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(RoleMode::parse("everything"), None);
    }
}
