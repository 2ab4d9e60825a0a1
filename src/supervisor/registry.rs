//! What is registered, in the main application's database.
//!
//! Three collections: `applications` with NocoBase's columns alone; `applicationProvisions`, what
//! the host made for each and its sealed secrets; `deletedApplications`, what can be undeleted.
//! A row of the first has one of the second, written and removed in one transaction.

use std::sync::LazyLock;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::data::{
    Collection, DataError, DataSource, Field, Filter, Operator, Query, Record, Sort, Transaction,
};
use crate::database::Location;
use crate::protocol::{
    AppId, InvalidLimit, Limit, LimitChanges, LimitValues, StartMode, State, UpgradePolicy,
};

use super::damage::{self, Damage, Row};
use super::reserve::Reserve;
use super::storage::Provision;

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
    /// What of all this cannot be read or used.
    pub(crate) damage: Damage,
}

/// A deleted application whose data is still there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeletedRegistration {
    /// The key of its row; one that stands for it where the row's own cannot be written in a statement.
    pub(crate) key: String,
    /// Whether that is the row's own.
    pub(crate) is_keyed: bool,
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

    /// Notes its domains as those that the host gave it.
    pub(crate) fn give_domains(&mut self) {
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

    /// The row of `applications`, as the HTTP API shows it too.
    pub(crate) fn row(&self) -> Record {
        record(json!({
            "name": self.id, "displayName": self.name, "cname": self.cname, "icon": self.icon,
            "pinned": self.pinned, "status": self.status, "options": self.options, "sort": self.sort,
            "createdAt": stamp(self.created_at), "updatedAt": stamp(self.updated_at),
        }))
    }

    fn provision_value(&self) -> Record {
        record(json!({"provision": self.provision}))
    }

    fn provision_row(&self) -> Record {
        record(json!({"name": self.id, "provision": self.provision, "jwtSecret": self.jwt_secret}))
    }
}

/// The registry's collections.
static TABLES: [&LazyLock<Collection>; 3] = [&APPLICATIONS, &PROVISIONS, &DELETED];

/// Why the registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A table lacks columns that this version keeps the registry in.
    #[error(
        "the registry in {location} cannot be read: its table \"{table}\" has no column {}; nothing was changed",
        list(columns)
    )]
    Columns { location: Box<Location>, table: String, columns: Vec<String> },
    /// The database below.
    #[error(transparent)]
    Data(#[from] DataError),
}

fn list(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", no column ")
}

/// Fails where a collection's table lacks columns.
async fn check_columns(source: &DataSource, collection: &Collection) -> Result<(), RegistryError> {
    let columns = source.missing_columns(collection).await?;
    if columns.is_empty() {
        return Ok(());
    }
    let location = Box::new(source.database().location());
    let table = format!("{}{}", source.database().namespace().table_prefix, collection.name());
    Err(RegistryError::Columns { location, table, columns })
}

/// The registry's collections in the main application's data source.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    source: DataSource,
    reserve: Reserve,
}

/// Everything that is registered, as a start finds it.
pub(crate) struct Inventory {
    pub(crate) applications: Vec<Registration>,
    pub(crate) deleted: Vec<DeletedRegistration>,
}

impl Registry {
    /// Over the main application's data source; makes the collections where they are missing, which on
    /// the first start they are.
    ///
    /// # Errors
    /// [`RegistryError::Columns`] where a table lacks what is kept in it: nothing is changed.
    pub(crate) async fn open(
        source: DataSource,
        reserve: Reserve,
        is_first: bool,
    ) -> Result<Self, RegistryError> {
        for collection in TABLES {
            if source.has_table(collection).await? {
                check_columns(&source, collection).await?;
                continue;
            }
            source.create_table(collection).await?;
            if !is_first {
                tracing::error!(
                    table = collection.name(),
                    "a table of the registry was missing and was made anew, empty; bring it back from a backup of \
                     the main application's database: {}",
                    source.database().location()
                );
            }
        }
        reserve.fill().await;
        Ok(Self { source, reserve })
    }

    /// The main application's sealed JWT secret, which has no row in `applications`.
    pub(crate) async fn main_secret(&self) -> Result<Option<String>, DataError> {
        let query = Query::filter(Filter::eq("name", AppId::MAIN)).fields(&["jwtSecret"]);
        let row = self.source.find_one(&PROVISIONS, query).await?;
        // A row without a text in it is one that somebody changed: its secret opens with no key.
        Ok(row.map(|row| row.get("jwtSecret").and_then(Value::as_str).unwrap_or_default().to_owned()))
    }

    /// Whether this data source has a registry in it, with or without rows.
    pub(crate) async fn is_in(source: &DataSource) -> Result<bool, DataError> {
        source.has_table(&PROVISIONS).await
    }

    /// Whether these are the main application's tables of a host that has begun to seal secrets.
    /// Changes nothing.
    pub(crate) async fn holds_secrets(source: &DataSource) -> Result<bool, RegistryError> {
        for collection in [&*PROVISIONS, &*DELETED] {
            if !source.has_table(collection).await? {
                continue;
            }
            check_columns(source, collection).await?;
            let one = Query::default().limit(1).fields(&["name"]);
            if source.find_one(collection, one).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the main application's sealed JWT secret on the first start.
    pub(crate) async fn insert_main_secret(&self, sealed: &str) -> Result<(), DataError> {
        let row = record(json!({"name": AppId::main(), "provision": null, "jwtSecret": sealed}));
        self.source.system().insert(&PROVISIONS, row).await.map(drop)
    }

    /// Everything that is registered. A row that cannot be read gives an application that says so.
    pub(crate) async fn inventory(&self) -> Result<Inventory, DataError> {
        let applications = self.rows(&APPLICATIONS, &Query::default()).await?;
        let provisions = self.rows(&PROVISIONS, &Query::default()).await?;
        Ok(Inventory {
            applications: damage::registrations(applications, provisions),
            deleted: self.deleted().await?,
        })
    }

    async fn rows(&self, collection: &Collection, query: &Query) -> Result<Vec<Row>, DataError> {
        let rows = self.source.find_readable(collection, query).await?;
        Ok(rows.into_iter().map(|(record, unreadable)| Row { record, unreadable }).collect())
    }

    pub(crate) async fn insert(&self, registration: &Registration) -> Result<(), DataError> {
        self.source
            .transact(|| {
                async move |transaction: &mut Transaction| insert_both(transaction, registration).await
            })
            .await
    }

    pub(crate) async fn remove(&self, registration: &Registration) -> Result<(), DataError> {
        let rows = &self.rows_of(registration).await?;
        self.source
            .transact(|| async move |transaction: &mut Transaction| rows.remove(transaction).await)
            .await
    }

    /// Writes damaged rows anew, with what could be read of them; `before` says what there is. What the
    /// host made for the application is left as it stands where it cannot be read.
    pub(crate) async fn mend(&self, before: &Registration, mended: &Registration) -> Result<(), DataError> {
        let rows = &self.rows_of(before).await?;
        let work = || {
            async move |transaction: &mut Transaction| {
                transaction.system().destroy(&APPLICATIONS, &rows.application).await?;
                transaction.system().insert(&APPLICATIONS, mended.row()).await?;
                if before.damage.provision.is_empty() {
                    rows.remove_provision(transaction).await?;
                    transaction.system().insert(&PROVISIONS, mended.provision_row()).await?;
                }
                Ok(())
            }
        };
        self.source.transact(work).await
    }

    /// Writes what leads to free room; once more, if the disk was full and what is set aside for that is
    /// free then.
    async fn with_reserve<T, F>(&self, write: impl Fn() -> F) -> Result<T, DataError>
    where
        F: Future<Output = Result<T, DataError>>,
    {
        let done = write().await;
        if self.reserve.makes_room_after(&done) { write().await } else { done }
    }

    pub(crate) async fn set_status(&self, id: &AppId, status: State) -> Result<(), DataError> {
        let (row, changes) = (named(id), record(json!({"status": status})));
        found(
            id,
            self.with_reserve(|| self.source.system().update(&APPLICATIONS, &row, changes.clone())).await?,
        )
    }

    /// Writes what changed of an application.
    pub(crate) async fn update(&self, before: &Registration, now: &Registration) -> Result<(), DataError> {
        let by_name = &named(&now.id);
        if before.provision == now.provision {
            return found(&now.id, self.source.system().update(&APPLICATIONS, by_name, now.row()).await?);
        }
        let work = || {
            async move |transaction: &mut Transaction| {
                let rows = transaction.system().update(&APPLICATIONS, by_name, now.row()).await?;
                let made = transaction.system().update(&PROVISIONS, by_name, now.provision_value()).await?;
                found(&now.id, rows.min(made))
            }
        };
        self.source.transact(work).await
    }

    pub(crate) async fn set_provision(&self, registration: &Registration) -> Result<(), DataError> {
        let row = registration.provision_value();
        found(
            &registration.id,
            self.source.system().update(&PROVISIONS, &named(&registration.id), row).await?,
        )
    }

    /// Writes that a creation has come to its end: its state and what was made, together.
    pub(crate) async fn complete(&self, registration: &Registration) -> Result<(), DataError> {
        let status = &record(json!({"status": registration.status}));
        let provision = &registration.provision_value();
        let by_name = &named(&registration.id);
        let work = || {
            async move |transaction: &mut Transaction| {
                let rows = transaction.system().update(&APPLICATIONS, by_name, status.clone()).await?;
                let made = transaction.system().update(&PROVISIONS, by_name, provision.clone()).await?;
                found(&registration.id, rows.min(made))
            }
        };
        self.source.transact(work).await
    }

    pub(crate) async fn set_secret(&self, id: &AppId, sealed: &str) -> Result<(), DataError> {
        let changes = record(json!({"jwtSecret": sealed}));
        found(id, self.source.system().update(&PROVISIONS, &named(id), changes).await?)
    }

    /// Deleted applications, the last deleted first.
    pub(crate) async fn deleted(&self) -> Result<Vec<DeletedRegistration>, DataError> {
        let newest_first = Query::default().sort(Sort::descending("deletedAt"));
        let rows = self.rows(&DELETED, &newest_first).await?;
        Ok(rows.into_iter().map(damage::deleted).collect())
    }

    /// The row of a deleted application.
    async fn row_of(&self, deleted: &DeletedRegistration) -> Result<Filter, DataError> {
        if deleted.is_keyed {
            return Ok(Filter::eq("key", deleted.key.as_str()));
        }
        let registration = &deleted.registration;
        let name = registration.damage.name.is_none().then_some(registration.id.as_str());
        let marks = [("name", name), ("jwtSecret", Some(&*registration.jwt_secret))];
        self.unnameable(&DELETED, "key", &marks).await
    }

    /// The rows of an application in both tables.
    async fn rows_of(&self, registration: &Registration) -> Result<Rows, DataError> {
        let name = registration.damage.name.as_deref().unwrap_or(registration.id.as_str());
        if damage::is_writable(name) {
            let by_name = Filter::eq("name", name);
            // That of this name is the main application's, whoever else has a row of it.
            let provision = Some(by_name.clone()).filter(|_| name != AppId::MAIN);
            return Ok(Rows { application: by_name, provision });
        }
        let shown =
            Some(&*registration.name).filter(|shown| ![name, registration.id.as_str()].contains(shown));
        let mut application = self.unnameable(&APPLICATIONS, "name", &[("displayName", shown)]).await?;
        if registration.sort != 0 {
            application = application.and(Filter::eq("sort", registration.sort));
        }
        // Its secret is no other's; without one, nobody knows which row is its own.
        let secret = Some(&*registration.jwt_secret).filter(|secret| damage::is_writable(secret));
        let provision = match secret {
            Some(_) => Some(self.unnameable(&PROVISIONS, "name", &[("jwtSecret", secret)]).await?),
            None => None,
        };
        Ok(Rows { application, provision })
    }

    /// A row whose key no statement can name: it is found by the others having another, and by what else
    /// it says.
    async fn unnameable(
        &self,
        collection: &Collection,
        key: &str,
        marks: &[(&str, Option<&str>)],
    ) -> Result<Filter, DataError> {
        let others = self.rows(collection, &Query::default().fields(&[key])).await?;
        let others = others.iter().filter_map(|row| row.record.get(key)?.as_str());
        let others = others.filter(|key| damage::is_writable(key)).map(Value::from).collect::<Vec<_>>();
        let marks = marks.iter().filter_map(|(field, text)| Some((*field, (*text)?)));
        let row = Filter::on(key, Operator::NotIn, others);
        Ok(marks
            .filter(|(_, text)| damage::is_writable(text))
            .fold(row, |row, (field, text)| row.and(Filter::eq(field, text))))
    }

    /// Moves an application to the deleted ones.
    pub(crate) async fn delete(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let registration = &deleted.registration;
        let row = json!({
            "key": deleted.key, "name": registration.id, "deletedAt": stamp(deleted.deleted_at),
            "purging": deleted.purging, "application": registration.row(),
            "provision": registration.provision, "jwtSecret": registration.jwt_secret,
        });
        let (row, rows) = (&row, &self.rows_of(registration).await?);
        let work = || {
            async move |transaction: &mut Transaction| {
                rows.remove(transaction).await?;
                transaction.system().insert(&DELETED, record(row.clone())).await.map(drop)
            }
        };
        self.with_reserve(|| self.source.transact(work)).await
    }

    /// Moves a deleted application back, as `sound`.
    pub(crate) async fn undelete(
        &self,
        deleted: &DeletedRegistration,
        sound: &Registration,
    ) -> Result<(), DataError> {
        let row = &self.row_of(deleted).await?;
        let work = || {
            async move |transaction: &mut Transaction| {
                found(&deleted.registration.id, transaction.system().destroy(&DELETED, row).await?)?;
                insert_both(transaction, sound).await
            }
        };
        self.source.transact(work).await
    }

    /// Marks the beginning of a removal for good.
    pub(crate) async fn begin_purge(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let mark = record(json!({"purging": true}));
        let row = self.row_of(deleted).await?;
        let rows = self.with_reserve(|| self.source.system().update(&DELETED, &row, mark.clone())).await?;
        found(&deleted.registration.id, rows)
    }

    /// Forgets what was removed for good.
    pub(crate) async fn forget(&self, deleted: &DeletedRegistration) -> Result<(), DataError> {
        let row = self.row_of(deleted).await?;
        self.with_reserve(|| self.source.system().destroy(&DELETED, &row)).await?;
        self.reserve.fill().await;
        Ok(())
    }
}

async fn insert_both(transaction: &mut Transaction, registration: &Registration) -> Result<(), DataError> {
    transaction.system().insert(&APPLICATIONS, registration.row()).await?;
    transaction.system().insert(&PROVISIONS, registration.provision_row()).await?;
    Ok(())
}

/// How the rows of an application are found.
struct Rows {
    application: Filter,
    /// Nothing where it has none.
    provision: Option<Filter>,
}

impl Rows {
    async fn remove(&self, transaction: &mut Transaction) -> Result<(), DataError> {
        transaction.system().destroy(&APPLICATIONS, &self.application).await?;
        self.remove_provision(transaction).await
    }

    async fn remove_provision(&self, transaction: &mut Transaction) -> Result<(), DataError> {
        if let Some(provision) = &self.provision {
            transaction.system().destroy(&PROVISIONS, provision).await?;
        }
        Ok(())
    }
}

/// Fails where a change of an application's row reached none: somebody else removed it.
fn found(id: &AppId, rows: u64) -> Result<(), DataError> {
    if rows > 0 {
        return Ok(());
    }
    Err(DataError::Refused(format!(
        "the registry has no row of \"{id}\" any more; nbapps delete {id} and nbapps undelete {id} write it anew"
    )))
}

fn named(id: &AppId) -> Filter {
    Filter::eq("name", id.as_str())
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
