//! The answer of an action, and its JSON.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use crate::data::JsonRecords;

/// The answer of an action.
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
    /// `{"data": {...}}`, of one record that is JSON already.
    Record(JsonRecords),
    /// `{"data": [...]}`, of records that are JSON already.
    Records(JsonRecords),
    /// As `List`, of records that are JSON already.
    Page {
        /// The page's records.
        data: JsonRecords,
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
    fn into_json(self) -> Vec<u8> {
        match self {
            Self::Data(data) => wrapped(|out| write(out, &data)),
            Self::Record(data) => wrapped(|out| out.extend_from_slice(data.one())),
            Self::Records(data) => wrapped(|out| out.extend_from_slice(data.json())),
            Self::List { data, count, page, page_size } => {
                listed(|out| write(out, &data), count, page, page_size)
            }
            Self::Page { data, count, page, page_size } => {
                listed(|out| out.extend_from_slice(data.json()), count, page, page_size)
            }
            Self::Bare(value) => value.to_string().into_bytes(),
        }
    }

    pub(in crate::app) fn into_response(self) -> Response<Bytes> {
        response(StatusCode::OK, self.into_json())
    }
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // Into memory, and what is written is JSON.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

/// `{"data": ...}`
fn wrapped(data: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"{\"data\":");
    data(&mut out);
    out.push(b'}');
    out
}

/// `{"data": [...], "meta": {...}}`
fn listed(data: impl FnOnce(&mut Vec<u8>), count: u64, page: u64, page_size: u64) -> Vec<u8> {
    let total_page = count.div_ceil(page_size.max(1));
    wrapped(|out| {
        data(out);
        let meta = format!(
            ",\"meta\":{{\"count\":{count},\"page\":{page},\"pageSize\":{page_size},\"totalPage\":{total_page}}}"
        );
        out.extend_from_slice(meta.as_bytes());
    })
}

pub(super) fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    response(status, body.to_string().into_bytes())
}

fn response(status: StatusCode, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
