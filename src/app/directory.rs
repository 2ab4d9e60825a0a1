//! The users, roles and API keys of an application, as an operator of the host sees them.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::App;
use super::auth::Auth;
use super::auth::disabled::is_disabled;
use super::system::{API_KEYS, ROLES, ROLES_USERS, USERS};
use crate::data::{DataError, Filter, Query, Record, Sort};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Its number.
    pub id: i64,
    /// E-mail address.
    pub email: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// Display name.
    pub nickname: Option<String>,
    /// The names of its roles, in alphabetical order.
    pub roles: Vec<String>,
    /// The role that it begins with, where one is marked.
    pub default_role: Option<String>,
    /// Whether it is disabled.
    pub disabled: bool,
    /// When it was created.
    pub created_at: Option<DateTime<Utc>>,
}

/// An API key, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The user for whom it acts.
    pub user: Option<i64>,
    /// That user's e-mail address, or user name where there is none.
    pub user_name: Option<String>,
    /// The role in which it acts.
    pub role: String,
    /// When it was created.
    pub created_at: Option<DateTime<Utc>>,
    /// When it expires; `None` when it does not.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A text, unless it is empty.
fn text(record: &Record, field: &str) -> Option<String> {
    record.get(field)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn time(record: &Record, field: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(record.get(field)?.as_str()?).ok().map(|time| time.to_utc())
}

fn number(record: &Record, field: &str) -> Option<i64> {
    record.get(field)?.as_i64()
}

impl App {
    /// At most `limit` users with a higher number than `after`, by number.
    pub async fn people(&self, after: i64, limit: u64) -> Result<Vec<Person>, DataError> {
        self.people_of(Filter::greater("id", after), limit).await
    }

    /// The user of a number.
    pub async fn person(&self, id: i64) -> Result<Option<Person>, DataError> {
        Ok(self.people_of(Filter::eq("id", id), 1).await?.pop())
    }

    async fn people_of(&self, which: Filter, limit: u64) -> Result<Vec<Person>, DataError> {
        let fields = ["id", "email", "username", "nickname", "password", "createdAt"];
        let users = Query::filter(which).sort(Sort::ascending("id")).limit(limit).fields(&fields);
        let users = self.source().find(&USERS, users).await?;
        let (Some(first), Some(last)) = (users.first(), users.last()) else { return Ok(Vec::new()) };
        // One statement for the roles of all, however many there are.
        let (first, last) = (number(first, "id").unwrap_or_default(), number(last, "id").unwrap_or_default());
        let between = Filter::And(vec![
            Filter::greater("userId", first.saturating_sub(1)),
            Filter::less("userId", last.saturating_add(1)),
        ]);
        let links = Query::filter(between)
            .sort(Sort::ascending("userId"))
            .sort(Sort::ascending("roleName"))
            .fields(&["userId", "roleName", "default"]);
        let links = self.source().find(&ROLES_USERS, links).await?;
        Ok(users.iter().filter_map(|user| person(user, &links)).collect())
    }

    /// The names of its roles, in alphabetical order.
    pub async fn role_names(&self) -> Result<Vec<String>, DataError> {
        let query = Query::default().sort(Sort::ascending("name")).fields(&["name"]);
        let roles = self.source().find(&ROLES, query).await?;
        Ok(roles.iter().filter_map(|role| text(role, "name")).collect())
    }

    /// The API keys of all users, by number.
    pub async fn api_keys(&self) -> Result<Vec<KeyEntry>, DataError> {
        let fields = ["id", "name", "roleName", "expiresIn", "createdAt", "createdById"];
        let query = Query::default().sort(Sort::ascending("id")).fields(&fields);
        let keys = self.source().find(&API_KEYS, query).await?;
        let mut owners: Vec<Value> = keys.iter().filter_map(|key| key.get("createdById").cloned()).collect();
        owners.dedup();
        let mut named = Vec::new();
        for owners in owners.chunks(500) {
            let query =
                Query::filter(Filter::one_of("id", owners.to_vec())).fields(&["id", "email", "username"]);
            named.extend(self.source().find(&USERS, query).await?);
        }
        Ok(keys.iter().filter_map(|key| entry(key, &named)).collect())
    }
}

/// A user, with its roles among `links`, which are sorted by user and role.
fn person(user: &Record, links: &[Record]) -> Option<Person> {
    let id = number(user, "id")?;
    let begin = links.partition_point(|link| number(link, "userId") < Some(id));
    let own = || links[begin..].iter().take_while(|link| number(link, "userId") == Some(id));
    let default = own().find(|link| link.get("default") == Some(&Value::Bool(true)));
    Some(Person {
        id,
        email: text(user, "email"),
        username: text(user, "username"),
        nickname: text(user, "nickname"),
        roles: own().filter_map(|link| text(link, "roleName")).collect(),
        default_role: default.and_then(|link| text(link, "roleName")),
        disabled: is_disabled(user),
        created_at: time(user, "createdAt"),
    })
}

fn entry(key: &Record, users: &[Record]) -> Option<KeyEntry> {
    let user = number(key, "createdById");
    let owner = users.iter().find(|owner| number(owner, "id") == user);
    let created_at = time(key, "createdAt");
    let expires_in = text(key, "expiresIn").unwrap_or_default();
    Some(KeyEntry {
        id: number(key, "id")?,
        name: text(key, "name").unwrap_or_default(),
        user,
        user_name: owner.and_then(|owner| text(owner, "email").or_else(|| text(owner, "username"))),
        role: text(key, "roleName").unwrap_or_default(),
        created_at,
        expires_at: created_at.and_then(|created| Auth::key_expiry(created, &expires_in)),
    })
}
