//! What the manual page says about the configuration.

use super::keys::KEYS;

/// A key, as the manual page describes it.
#[derive(Debug, Clone, Copy)]
pub struct DescribedKey {
    /// Its name, with its table.
    pub name: &'static str,
    /// The variable of the environment that sets it.
    pub variable: Option<&'static str>,
    /// What its values look like.
    pub form: &'static str,
    /// The default, in words.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
}

/// Every key.
pub fn keys() -> impl Iterator<Item = DescribedKey> {
    KEYS.iter().map(|key| DescribedKey {
        name: key.name,
        variable: key.variable,
        form: key.form,
        default: key.default,
        help: key.help,
    })
}
