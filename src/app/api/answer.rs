//! What an action gives, as it goes out.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// What an action gives.
#[derive(Debug, Clone)]
pub enum Answer {
    /// `{"data": ...}`
    Data(Value),
    /// `{"data": [...], "meta": {count, page, pageSize, totalPage}}`
    List {
        /// The page's records.
        data: Vec<Value>,
        /// All records that fit.
        count: u64,
        /// The page, from 1.
        page: u64,
        /// Records a page.
        page_size: u64,
    },
    /// The value as it is.
    Bare(Value),
}

impl Answer {
    fn into_json(self) -> Value {
        match self {
            Self::Data(data) => json!({ "data": data }),
            Self::List { data, count, page, page_size } => {
                let total_page = count.div_ceil(page_size.max(1));
                let meta =
                    json!({"count": count, "page": page, "pageSize": page_size, "totalPage": total_page});
                json!({"data": data, "meta": meta})
            }
            Self::Bare(value) => value,
        }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        json_response(StatusCode::OK, &self.into_json())
    }
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
