//! The router: reads a request, decides whether it is allowed, and runs the action that answers it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use super::api::{
    Answer, ApiError, ApiRequest, Call, RecordSet, Requester, Target, query_string, records, requester,
};
use super::auth::Session;
use super::plugin::Plugin;
use super::resources::{ActionAccess, Records, ResourceAction, ResourceRegistry};
use super::state::AppState;
use crate::data::{Catalog, Clock};
use crate::failpoint::panic_point;

/// The response header with the token that replaces the client's own, as in NocoBase.
const NEW_TOKEN: &str = "x-new-token";

/// The router of one application.
pub(super) struct Router<'a> {
    pub(super) state: &'a Arc<AppState>,
    pub(super) resources: &'a ResourceRegistry,
    pub(super) plugins: &'a [Arc<dyn Plugin>],
}

impl Router<'_> {
    /// Answers a request: of a session that is known already, or of the one that its token is of.
    pub(super) async fn answer(
        &self,
        request: &ApiRequest,
        mut session: Option<Arc<Session>>,
    ) -> http::Response<Bytes> {
        let known = self.state.source().catalog();
        // Boxed: what waits for it is moved several times before it is polled.
        let mut answer = Box::pin(self.handle(request, &mut session, None)).await;
        if answer.as_ref().is_err_and(ApiError::is_outdated) {
            // Whatever it did is undone. By the definitions as they are now it may succeed.
            answer = Box::pin(self.handle(request, &mut session, Some(&known))).await;
        }
        let mut response = match answer {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into_response(),
        };
        // Also with an error: the client's own token has ended.
        let renewed = session.as_ref().and_then(|session| session.renewed.as_ref());
        if let Some(token) = renewed.and_then(|renewed| HeaderValue::from_str(&renewed.token).ok()) {
            response.headers_mut().insert(NEW_TOKEN, token);
        }
        response
    }

    /// Answers a request; for the second time, if the definitions that it went by were `outdated`.
    ///
    /// The cheapest and least telling checks come first: action, sender, permission. The parameters
    /// and the body are parsed last.
    async fn handle(
        &self,
        request: &ApiRequest,
        session: &mut Option<Arc<Session>>,
        outdated: Option<&Arc<Catalog>>,
    ) -> Result<Answer, ApiError> {
        let target = Target::parse(&request.method, &request.target)?;
        panic_point(&request.target);
        let catalog = self.state.source().catalog();
        let mut found = self.find(&catalog, &target)?;
        if request.method.is_safe() && !reads(&target.action) {
            return Err(ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{}:{} changes something: use POST", target.resource, target.action),
            ));
        }
        let clock = clock(&request.headers)?;
        let access = match &found {
            Found::Action(action) => action.access,
            Found::Records(_) => ActionAccess::ByPermission,
        };
        let requester = self.requester(request, access, clock, session).await?;
        let check = |found: &Found<'_>| match access {
            ActionAccess::ByPermission => requester.check(&target, found.set()),
            ActionAccess::Public | ActionAccess::SignedIn => Ok(()),
        };
        check(&found)?;
        let params = params(request, &target)?;
        let body = body(self.state, request).await?;
        let _kept = match &found {
            Found::Records(_) if outdated.is_some() || !reads(&target.action) => {
                let kept = self.state.kept_definitions().await;
                if let Some(known) = outdated {
                    self.state.renew_definitions(known).await?;
                }
                // They may have changed while this waited.
                let now = self.state.source().catalog();
                if !Arc::ptr_eq(&catalog, &now) {
                    found = self.find(&now, &target)?;
                    check(&found)?;
                }
                Some(kept)
            }
            _ => None,
        };
        let source_key = target.association.as_ref().map(|(key, _)| key.as_str());
        let (headers, client, session) = (&request.headers, request.client, session.clone());
        let action = &*target.action;
        let Self { state, plugins, .. } = *self;
        let mut call =
            Call { state, plugins, action, params, body, headers, client, session, requester, source_key };
        match &found {
            Found::Action(action) => (action.run)(&call).await,
            Found::Records(set) => {
                records::check_names(&call, set).await?;
                records::answer(&mut call, set).await
            }
        }
    }

    /// Authenticates the sender and chooses its roles. A public action has no sender.
    async fn requester(
        &self,
        request: &ApiRequest,
        access: ActionAccess,
        clock: Clock,
        session: &mut Option<Arc<Session>>,
    ) -> Result<Requester, ApiError> {
        if access == ActionAccess::Public {
            return Ok(Requester::anybody(clock));
        }
        // A token that was replaced at the first try is none any more at the second.
        let checked = match session {
            Some(checked) => checked,
            None => session.insert(authenticate(self.state, &request.headers).await?),
        };
        let wanted = request.headers.get(ROLE).and_then(|role| role.to_str().ok());
        requester::of(self.state, checked, wanted, clock).await
    }

    fn find(&self, catalog: &Catalog, target: &Target) -> Result<Found<'_>, ApiError> {
        let resource = self.resources.get(&target.name());
        if let Some(action) = resource.and_then(|resource| resource.action(&target.action)) {
            return Ok(Found::Action(action));
        }
        let has_records = resource.is_none_or(|resource| resource.records == Records::Common);
        let set = has_records.then(|| self.find_records(catalog, target)).flatten();
        match set {
            Some(set) if set.has(&target.action) => Ok(Found::Records(Box::new(set))),
            None if resource.is_none_or(|resource| resource.actions.is_empty()) => {
                Err(ApiError::not_found(format!("there is no resource {}", target.path())))
            }
            _ => Err(ApiError::not_found(format!("{} has no action {}", target.path(), target.action))),
        }
    }

    /// The records that a target names, unless they are the host's bookkeeping.
    fn find_records(&self, catalog: &Catalog, target: &Target) -> Option<RecordSet> {
        let association = target.association.as_ref().map(|(key, name)| (key.as_str(), name.as_str()));
        let set = RecordSet::find(catalog, &target.resource, association)?;
        let is_internal = |name: &str| self.resources.is_internal(name);
        // Of a collection by its own name, the descriptor was asked already.
        let reaches_internal =
            set.behind.is_some() && (is_internal(set.collection.name()) || is_internal(set.records().name()));
        (!reaches_internal).then_some(set)
    }
}

async fn authenticate(state: &AppState, headers: &HeaderMap) -> Result<Arc<Session>, ApiError> {
    let token = bearer(headers);
    let stream = headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    let session = match stream {
        true => state.auth().authenticate_stream(token).await,
        false => state.auth().authenticate(token).await,
    };
    Ok(session?)
}

/// The header that names the role in which a request acts.
const ROLE: &str = "x-role";
/// The header that names the client's time zone.
const TIMEZONE: &str = "x-timezone";

/// What answers a request.
enum Found<'a> {
    /// An action of a resource of the system.
    Action(&'a ResourceAction),
    /// The records of a collection.
    Records(Box<RecordSet>),
}

impl Found<'_> {
    fn set(&self) -> Option<&RecordSet> {
        match self {
            Self::Records(set) => Some(set),
            Self::Action(_) => None,
        }
    }
}

/// The time for the client, in the zone of its header.
fn clock(headers: &HeaderMap) -> Result<Clock, ApiError> {
    match headers.get(TIMEZONE).map(|zone| zone.to_str().unwrap_or("?").trim()) {
        None | Some("") => Ok(Clock::utc()),
        Some(zone) => Clock::of(zone)
            .ok_or_else(|| ApiError::bad_request(format!("{TIMEZONE}: {zone} is no zone like +08:00"))),
    }
}

/// Whether an action only reads, by its name: a link or an image in a page can make a browser send
/// any GET.
fn reads(action: &str) -> bool {
    ["list", "get", "check", "publicList"].iter().any(|start| action.starts_with(start))
}

/// The token of the `Authorization` header, empty where there is none.
fn bearer(headers: &HeaderMap) -> &str {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

/// The parameters of the query string, with the record that the path names.
fn params(request: &ApiRequest, target: &Target) -> Result<Value, ApiError> {
    let mut params = query_string::parse(&request.query)?;
    if let Some(key) = &target.key
        && params.insert("filterByTk".to_owned(), Value::from(key.as_str())).is_some()
    {
        return Err(ApiError::bad_request("the path and filterByTk both say which record is meant"));
    }
    Ok(Value::Object(params))
}

/// Bodies over so many bytes are parsed on the CPU queue.
const MAX_INLINE_BODY: usize = 256 * 1024;

async fn body(state: &AppState, request: &ApiRequest) -> Result<Value, ApiError> {
    if request.body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let kind = request.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| !kind.to_ascii_lowercase().contains("json")) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as JSON, with Content-Type: application/json",
        ));
    }
    let read = if request.body.len() > MAX_INLINE_BODY {
        let body = request.body.clone();
        let read = state.auth().cpu_queue().run(move || serde_json::from_slice(&body)).await;
        read.ok_or_else(|| ApiError::internal("there is no thread to read a long body"))?
    } else {
        serde_json::from_slice(&request.body)
    };
    read.map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))
}
