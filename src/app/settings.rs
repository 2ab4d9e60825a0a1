//! The settings of an application that its requests need (`systemSettings`).

use std::sync::Arc;

use serde_json::Value;

use super::acl::RoleMode;
use super::auth::accounts::AccountRules;
use super::system::SYSTEM_SETTINGS;
use crate::data::{DataError, DataSource, Filter, Query, Sort};

/// What requests need of `systemSettings`.
#[derive(Debug)]
pub(super) struct SystemSettings {
    /// The title; `None` where it is empty.
    pub(super) title: Option<Arc<str>>,
    /// The language of pages: `en-US`.
    pub(super) language: Arc<str>,
    /// Whether users act in one role or in all of theirs.
    pub(super) role_mode: RoleMode,
    /// The rules of accounts and passwords.
    pub(super) rules: AccountRules,
    /// Whether requests are refused that name what does not exist (`options.strict`).
    pub(super) strict: bool,
}

impl SystemSettings {
    /// Reads them.
    pub(super) async fn read(source: &DataSource) -> Result<Self, DataError> {
        let fields = ["title", "appLang", "options", "roleMode", "enableEditProfile", "enableChangePassword"];
        let query = Query::filter(Filter::All).sort(Sort::ascending("id")).fields(&fields);
        let record = source.find_one(&SYSTEM_SETTINGS, query).await?.unwrap_or_default();
        let text = |field: &str| record.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        Ok(Self {
            title: text("title").map(Arc::from),
            language: text("appLang").unwrap_or("en-US").into(),
            role_mode: text("roleMode").and_then(RoleMode::parse).unwrap_or_default(),
            rules: AccountRules::of(&record),
            strict: record.get("options").and_then(|options| options.get("strict"))
                == Some(&Value::Bool(true)),
        })
    }
}
