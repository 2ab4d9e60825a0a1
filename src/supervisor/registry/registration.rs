//! The record of one application, and of one that is deleted.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::data::{Collection, Record};
use crate::protocol::{
    AccessLog, AppId, DatabaseMode, InvalidLimit, Limit, LimitChanges, LimitValues, StartMode, State,
    UpgradePolicy,
};

use super::damage::Damage;
use super::provision::Provision;
use super::tables::APPLICATIONS;

/// A registered application.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    pub(crate) id: AppId,
    pub(crate) name: String,
    pub(crate) cname: Option<String>,
    pub(crate) icon: Option<String>,
    /// As in NocoBase: `None` until somebody pins or unpins it.
    pub(crate) pinned: Option<bool>,
    /// The last written state. Only states that must survive the daemon are written.
    pub(crate) status: State,
    /// NocoBase's options and, beside them, ours: `idleStopSeconds`, `domains`, `limits`,
    /// `accessLog`, `labels`, `inventory`, `protected`.
    pub(crate) options: Map<String, Value>,
    pub(crate) sort: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// `None` for the main application, whose database the configuration names.
    pub(crate) provision: Option<Provision>,
    /// Encrypted with the host's key.
    pub(crate) jwt_secret: String,
    /// What of all this cannot be read or used.
    pub(crate) damage: Damage,
}

/// A deleted application whose data still exists.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeletedRegistration {
    /// The key of its row, or one derived from the row if no statement can contain its own.
    pub(crate) key: String,
    /// Whether `key` is the row's own.
    pub(crate) is_keyed: bool,
    pub(crate) deleted_at: DateTime<Utc>,
    /// Whether its purge has begun; then it must be finished.
    pub(crate) purging: bool,
    pub(crate) registration: Registration,
}

impl Registration {
    pub(crate) fn start_mode(&self) -> StartMode {
        match self.options.get("autoStart") {
            Some(Value::Bool(true)) => StartMode::WithMain,
            _ => StartMode::OnVisit,
        }
    }

    pub(crate) fn upgrade(&self) -> UpgradePolicy {
        match self.options.get("autoUpgrade") {
            Some(Value::Bool(false)) => UpgradePolicy::Manual,
            _ => UpgradePolicy::Auto,
        }
    }

    pub(crate) fn idle_stop_seconds(&self) -> Option<u64> {
        self.options.get("idleStopSeconds").and_then(Value::as_u64).filter(|&seconds| seconds > 0)
    }

    pub(crate) fn protected(&self) -> bool {
        self.options.get("protected") == Some(&Value::Bool(true))
    }

    /// Returns which requests its access log has, where that was set for it alone.
    pub(crate) fn access_log(&self) -> Option<AccessLog> {
        self.options.get("accessLog").and_then(Value::as_str).and_then(|word| word.parse().ok())
    }

    /// The inventory of `nbapps apply` that it belongs to.
    pub(crate) fn inventory(&self) -> Option<String> {
        self.options.get("inventory").and_then(Value::as_str).map(str::to_owned)
    }

    /// The limits that were set for this application. An unknown or invalid one counts as not set.
    pub(crate) fn limits(&self) -> LimitValues {
        let all = self.options.get("limits").and_then(Value::as_object).into_iter().flatten();
        let known = all.filter_map(|(name, value)| {
            let limit: Limit = serde_json::from_value(Value::from(name.as_str())).ok()?;
            Some((limit, limit.check(value.as_u64()?).ok()?))
        });
        known.collect()
    }

    /// Sets or removes some of its limits. If one is invalid, none is changed.
    pub(crate) fn change_limits(&mut self, changes: &LimitChanges) -> Result<(), InvalidLimit> {
        let mut limits = self.limits();
        for (&limit, value) in changes {
            match value {
                Some(value) => limits.insert(limit, limit.check(*value)?),
                None => limits.remove(&limit),
            };
        }
        if limits.is_empty() {
            self.options.remove("limits");
        } else {
            self.options.insert("limits".into(), json!(limits));
        }
        Ok(())
    }

    /// Its domains: `cname` first, then those in the options.
    pub(crate) fn domains(&self) -> Vec<String> {
        let further = self.options.get("domains").and_then(Value::as_array).into_iter().flatten();
        self.cname.iter().cloned().chain(further.filter_map(Value::as_str).map(str::to_owned)).collect()
    }

    pub(crate) fn set_domains(&mut self, domains: &[String]) {
        self.cname = domains.first().cloned();
        match domains.get(1..) {
            Some(further) if !further.is_empty() => self.options.insert("domains".into(), json!(further)),
            _ => self.options.remove("domains"),
        };
    }

    /// Records its domains as assigned by the host.
    pub(crate) fn assign_domains(&mut self) {
        let domains = self.domains();
        if let Some(provision) = &mut self.provision {
            provision.domains = domains;
        }
    }

    /// The collection `applications`.
    pub(crate) fn collection() -> &'static Collection {
        &APPLICATIONS
    }

    /// Whether `applications` has this column.
    pub(crate) fn is_column(name: &str) -> bool {
        APPLICATIONS.get(name).is_some()
    }

    /// Its row in `applications`, in the form that the HTTP API returns.
    pub(crate) fn row(&self) -> Record {
        record(json!({
            "name": self.id, "displayName": self.name, "cname": self.cname, "icon": self.icon,
            "pinned": self.pinned, "status": self.status, "options": self.options, "sort": self.sort,
            "createdAt": stamp(self.created_at), "updatedAt": stamp(self.updated_at),
        }))
    }

    /// The change that writes its provision.
    pub(super) fn provision_value(&self) -> Record {
        record(json!({"provision": self.provision}))
    }

    /// Its row in `applicationProvisions`.
    pub(super) fn provision_row(&self) -> Record {
        record(json!({"name": self.id, "provision": self.provision, "jwtSecret": self.jwt_secret}))
    }

    /// Adds to the damage a mode in the options that contradicts the provision.
    pub(crate) fn check_mode(&mut self) {
        let Some(provision) = &self.provision else { return };
        let (said, is) = (self.options.get("dbConnType"), provision.mode().nocobase_name());
        if let Some(Value::String(said)) = said
            && said != is
            && DatabaseMode::of_nocobase(said).is_some()
        {
            self.damage
                .row
                .push(format!("options.dbConnType is {said}, but its database was created as {is}"));
        }
    }
}

/// The record in a JSON object; empty for any other value.
pub(super) fn record(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

/// A time in the form in which records have it.
pub(super) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
