//! What is registered, in the main application's database.
//!
//! Three collections: `applications` with NocoBase's columns alone; `applicationProvisions`, what
//! the host made for each and its sealed secrets; `deletedApplications`, what can be undeleted.
//! A row of the first has one of the second, written and removed in one transaction.

use std::sync::LazyLock;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::data::{Collection, DataError, DataSource, Field, Filter, Query, Record, Sort, Transaction};
use crate::protocol::{
    AppId, InvalidLimit, Limit, LimitChanges, LimitValues, StartMode, State, UpgradePolicy,
};

use super::provision::Provision;

static APPLICATIONS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("applications")
        .timestamps()
        .field(Field::string("name").primary_key())
        .field(Field::string("displayName"))
        .field(Field::string("cname").unique())
        .field(Field::boolean("pinned"))
        .field(Field::string("icon"))
        .field(Field::string("status").default_value("pending"))
        .field(Field::json("options"))
        .field(Field::big_int("sort"))
});

static PROVISIONS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("applicationProvisions")
        .field(Field::string("name").primary_key())
        .field(Field::json("provision"))
        .field(Field::text("jwtSecret").not_null())
});

static DELETED: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("deletedApplications")
        .field(Field::string("key").primary_key())
        .field(Field::string("name").not_null())
        .field(Field::date_time("deletedAt").not_null())
        .field(Field::boolean("purging").not_null())
        .field(Field::json("application"))
        .field(Field::json("provision"))
        .field(Field::text("jwtSecret").not_null())
});

/// An application as it is registered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    pub(crate) id: AppId,
    pub(crate) name: String,
    pub(crate) cname: Option<String>,
    pub(crate) icon: Option<String>,
    /// NocoBase's tri-state: null until somebody pins or unpins it.
    pub(crate) pinned: Option<bool>,
    /// What was last written of its state: only what must survive the daemon.
    pub(crate) status: State,
    /// NocoBase's options, and ours beside them: `idleStopSeconds`, `domains`, `limits`,
    /// `protected`.
    pub(crate) options: Map<String, Value>,
    pub(crate) sort: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    /// `None` for the main application, whose database the configuration names.
    pub(crate) provision: Option<Provision>,
    /// Sealed with the host's key.
    pub(crate) jwt_secret: String,
}

/// A deleted application whose data is still there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeletedRegistration {
    pub(crate) key: String,
    pub(crate) deleted_at: DateTime<Utc>,
    /// Its removal for good has begun and must be finished.
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

    /// The limits that were set for it alone; what is none, or cannot be, counts as not set.
    pub(crate) fn limits(&self) -> LimitValues {
        let all = self.options.get("limits").and_then(Value::as_object).into_iter().flatten();
        let known = all.filter_map(|(name, value)| {
            let limit: Limit = serde_json::from_value(Value::from(name.as_str())).ok()?;
            Some((limit, limit.check(value.as_u64()?).ok()?))
        });
        known.collect()
    }

    /// Sets some of its limits, or takes them back; all or none.
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

    /// Its domains: `cname` first, then the further ones of the options.
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

    /// Whether `applications` has this column.
    pub(crate) fn is_column(name: &str) -> bool {
        APPLICATIONS.get(name).is_some()
    }

    /// The row of `applications`, as the HTTP API shows it too.
    pub(crate) fn row(&self) -> Record {
        record(json!({
            "name": self.id, "displayName": self.name, "cname": self.cname, "icon": self.icon,
            "pinned": self.pinned, "status": self.status, "options": self.options, "sort": self.sort,
            "createdAt": stamp(self.created_at), "updatedAt": stamp(self.updated_at),
        }))
    }

    fn provision_row(&self) -> Record {
        record(json!({"name": self.id, "provision": self.provision, "jwtSecret": self.jwt_secret}))
    }

    /// `None` when the rows are not what this host writes.
    fn read(row: &Record, provision: &Record) -> Option<Self> {
        let text = |field: &str| row.get(field).and_then(Value::as_str).map(str::to_owned);
        let id = AppId::parse(row.get("name")?.as_str()?).ok()?;
        Some(Self {
            name: text("displayName").unwrap_or_else(|| id.to_string()),
            cname: text("cname"),
            icon: text("icon"),
            pinned: row.get("pinned").and_then(Value::as_bool),
            status: serde_json::from_value(row.get("status")?.clone()).unwrap_or(State::Initialized),
            options: row.get("options").and_then(Value::as_object).cloned().unwrap_or_default(),
            sort: row.get("sort").and_then(Value::as_i64).unwrap_or_default(),
            created_at: time(row.get("createdAt")?)?,
            updated_at: time(row.get("updatedAt")?)?,
            provision: serde_json::from_value(provision.get("provision")?.clone()).ok()?,
            jwt_secret: provision.get("jwtSecret")?.as_str()?.to_owned(),
            id,
        })
    }
}

/// The registry's collections in the main application's data source.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    source: DataSource,
}

/// Everything that is registered, as a start finds it.
pub(crate) struct Inventory {
    pub(crate) applications: Vec<Registration>,
    pub(crate) deleted: Vec<DeletedRegistration>,
    /// Names of rows that cannot be read.
    pub(crate) unreadable: Vec<String>,
}

impl Registry {
    /// Over the main application's data source; makes the collections where they are missing.
    pub(crate) async fn open(source: DataSource) -> Result<Self, DataError> {
        for collection in [&*APPLICATIONS, &*PROVISIONS, &*DELETED] {
            if !source.has_table(collection).await? {
                source.create_table(collection).await?;
            }
        }
        Ok(Self { source })
    }

    /// The main application's sealed JWT secret, which has no row in `applications`.
    pub(crate) async fn main_secret(&self) -> Result<Option<String>, DataError> {
        let row = self.source.find_one(&PROVISIONS, Query::filter(named(&AppId::main()))).await?;
        Ok(row.and_then(|row| row.get("jwtSecret")?.as_str().map(str::to_owned)))
    }

    /// Whether these are the main application's tables of a host that has begun to seal secrets.
    /// Changes nothing.
    pub(crate) async fn holds_secrets(source: &DataSource) -> Result<bool, DataError> {
        for collection in [&*PROVISIONS, &*DELETED] {
            let one = Query::default().limit(1).fields(&["name"]);
            if source.has_table(collection).await? && source.find_one(collection, one).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the main application's sealed JWT secret on the first start.
    pub(crate) async fn insert_main_secret(&self, sealed: &str) -> Result<(), DataError> {
        let row = record(json!({"name": AppId::main(), "provision": null, "jwtSecret": sealed}));
        self.source.insert(&PROVISIONS, row).await.map(drop)
    }

    pub(crate) async fn inventory(&self) -> Result<Inventory, DataError> {
        let mut provisions: std::collections::HashMap<_, _> = self
            .source
            .find(&PROVISIONS, Query::default())
            .await?
            .into_iter()
            .map(|row| (name(&row), row))
            .collect();
        let mut inventory =
            Inventory { applications: Vec::new(), deleted: Vec::new(), unreadable: Vec::new() };
        for row in self.source.find(&APPLICATIONS, Query::default()).await? {
            let provision = provisions.remove(&name(&row)).unwrap_or_default();
            match Registration::read(&row, &provision) {
                Some(registration) => inventory.applications.push(registration),
                None => inventory.unreadable.push(name(&row)),
            }
        }
        inventory.deleted = self.deleted().await?;
        Ok(inventory)
    }

    pub(crate) async fn insert(&self, registration: &Registration) -> Result<(), DataError> {
        let mut transaction = self.source.begin().await?;
        insert_both(&mut transaction, registration).await?;
        transaction.commit().await
    }

    pub(crate) async fn remove(&self, id: &AppId) -> Result<(), DataError> {
        let mut transaction = self.source.begin().await?;
        remove_both(&mut transaction, id).await?;
        transaction.commit().await
    }

    pub(crate) async fn set_status(&self, id: &AppId, status: State) -> Result<(), DataError> {
        self.source.update(&APPLICATIONS, &named(id), record(json!({"status": status}))).await.map(drop)
    }

    pub(crate) async fn update(&self, registration: &Registration) -> Result<(), DataError> {
        self.source.update(&APPLICATIONS, &named(&registration.id), registration.row()).await.map(drop)
    }

    pub(crate) async fn set_provision(&self, registration: &Registration) -> Result<(), DataError> {
        let row = record(json!({"provision": registration.provision}));
        self.source.update(&PROVISIONS, &named(&registration.id), row).await.map(drop)
    }

    pub(crate) async fn set_secret(&self, id: &AppId, sealed: &str) -> Result<(), DataError> {
        self.source.update(&PROVISIONS, &named(id), record(json!({"jwtSecret": sealed}))).await.map(drop)
    }

    /// The greatest `sort` there is.
    pub(crate) async fn last_sort(&self) -> Result<i64, DataError> {
        let last = Query::default().sort(Sort::descending("sort")).limit(1).fields(&["sort"]);
        let row = self.source.find_one(&APPLICATIONS, last).await?;
        Ok(row.and_then(|row| row.get("sort")?.as_i64()).unwrap_or_default())
    }

    /// Deleted applications, the last deleted first.
    pub(crate) async fn deleted(&self) -> Result<Vec<DeletedRegistration>, DataError> {
        let newest_first = Query::default().sort(Sort::descending("deletedAt"));
        let rows = self.source.find(&DELETED, newest_first).await?;
        Ok(rows.iter().filter_map(read_deleted).collect())
    }

    /// Moves an application to the deleted ones.
    pub(crate) async fn delete(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let registration = &deleted.registration;
        let mut transaction = self.source.begin().await?;
        remove_both(&mut transaction, &registration.id).await?;
        let row = json!({
            "key": deleted.key, "name": registration.id, "deletedAt": stamp(deleted.deleted_at),
            "purging": deleted.purging, "application": registration.row(),
            "provision": registration.provision, "jwtSecret": registration.jwt_secret,
        });
        transaction.insert(&DELETED, record(row)).await?;
        transaction.commit().await
    }

    /// Moves a deleted application back.
    pub(crate) async fn undelete(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let mut transaction = self.source.begin().await?;
        transaction.destroy(&DELETED, &Filter::eq("key", deleted.key.as_str())).await?;
        insert_both(&mut transaction, &deleted.registration).await?;
        transaction.commit().await
    }

    /// Marks the beginning of a removal for good.
    pub(crate) async fn begin_purge(&self, key: &str) -> Result<(), DataError> {
        let mark = record(json!({"purging": true}));
        self.source.update(&DELETED, &Filter::eq("key", key), mark).await.map(drop)
    }

    /// Forgets what was removed for good.
    pub(crate) async fn forget(&self, key: &str) -> Result<(), DataError> {
        self.source.destroy(&DELETED, &Filter::eq("key", key)).await.map(drop)
    }
}

async fn insert_both(transaction: &mut Transaction, registration: &Registration) -> Result<(), DataError> {
    transaction.insert(&APPLICATIONS, registration.row()).await?;
    transaction.insert(&PROVISIONS, registration.provision_row()).await?;
    Ok(())
}

async fn remove_both(transaction: &mut Transaction, id: &AppId) -> Result<(), DataError> {
    transaction.destroy(&APPLICATIONS, &named(id)).await?;
    transaction.destroy(&PROVISIONS, &named(id)).await?;
    Ok(())
}

fn read_deleted(row: &Record) -> Option<DeletedRegistration> {
    let application = row.get("application")?.as_object()?;
    Some(DeletedRegistration {
        key: row.get("key")?.as_str()?.to_owned(),
        deleted_at: time(row.get("deletedAt")?)?,
        purging: row.get("purging")?.as_bool()?,
        registration: Registration::read(application, row)?,
    })
}

fn named(id: &AppId) -> Filter {
    Filter::eq("name", id.as_str())
}

fn name(row: &Record) -> String {
    row.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn record(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

/// A time as records hold it.
pub(crate) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.to_utc())
}
