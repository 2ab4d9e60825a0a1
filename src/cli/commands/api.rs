//! `nbapps api`: calls an application's HTTP API over the control socket.

use std::collections::BTreeMap;
use std::io::Read as _;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{Console, Format};
use crate::cli::values;
use crate::client::Client;
use crate::protocol::lines::MAX_LINE;
use crate::protocol::methods::AppApi;
use crate::protocol::{ApiResponse, AppId, CallApi, Shown};

/// What a request has beside its parameters: the envelope of JSON-RPC.
const ENVELOPE: usize = 256;

/// Records of one page with --all-pages, unless the path says how many.
const PAGE_SIZE: &str = "500";

/// Call an application's HTTP API as one of its users, without a token
///
/// Prints the body of the answer. Where its status is 400 or more, the exit code is 1. The permissions are those of
/// the user, and the application's limits hold. A call has at most 4 MiB.
///
/// The fields of the body are the variables of a template: data, meta. With --all-pages, data is all records.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps api crm POST posts:create -d '{\"title\": \"Hello\"}'
  nbapps api crm GET posts:list -o template='{{ meta.count }}'")]
pub(crate) struct Api {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The HTTP method
    #[arg(value_name = "METHOD", ignore_case = true, value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"])]
    method: String,

    /// The path of the API, such as posts:list or posts/1/tags:add
    #[arg(value_name = "PATH")]
    path: String,

    /// The body: JSON, @FILE, or - for standard input
    #[arg(short, long, value_name = "DATA")]
    data: Option<String>,

    /// The user who calls: number, e-mail address or user name [default: the first root user]
    #[arg(long = "as", value_name = "USER", add = complete::users())]
    user: Option<String>,

    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,

    /// A parameter of the query, which is encoded; may be given several times
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = parameter)]
    query: Vec<(String, String)>,

    /// Follow the pages of a list, and print all of its records as one array
    #[arg(long)]
    all_pages: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("give NAME: VALUE, such as \"X-Role: admin\"")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE, such as page=2")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Api {
    /// Calls and prints the answer.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        if context.console.format == Format::Name {
            return Err(CliError::usage(
                "--output name does not fit a call of the API",
                "choose what to print with a template, such as -o template='{{ data.id }}'",
            ));
        }
        let body = self.data.as_deref().map(body).transpose()?;
        let call = CallApi {
            id: self.id,
            method: self.method.to_ascii_uppercase(),
            path: with_query(&self.path, &self.query),
            user: self.user,
            headers: self.headers.into_iter().collect::<BTreeMap<_, _>>(),
            body,
        };
        check_length(&call)?;
        let client = context.connect().await?;
        if self.all_pages {
            return all_pages(&context.console, &client, call).await;
        }
        let (method, path) = (call.method.clone(), call.path.clone());
        let response = client.call::<AppApi>(call).await?;
        check_status(&context.console, &response, &method, &path)?;
        print(&context.console, response.body.get())
    }
}

/// The body that `--data` names.
fn body(data: &str) -> Result<Value, CliError> {
    let mut text = String::new();
    let read = match data.strip_prefix('@').unwrap_or(data) {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        file if data.starts_with('@') => std::fs::File::open(file).and_then(|mut file| {
            file.read_to_string(&mut text)?;
            Ok(())
        }),
        json => {
            text.push_str(json);
            Ok(())
        }
    };
    if let Err(error) = read {
        return Err(CliError::usage(
            format!("--data: {} cannot be read: {error}", data.trim_start_matches('@')),
            "give JSON, @FILE with a file that this user can read, or - for standard input",
        ));
    }
    serde_json::from_str(&text).map_err(|error| {
        CliError::usage(
            format!("--data: the body is not JSON: {error}"),
            "give JSON in single quotes, @FILE, or - for standard input",
        )
    })
}

/// The path with further parameters of the query, encoded.
fn with_query(path: &str, query: &[(String, String)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}{}{added}", if path.contains('?') { '&' } else { '?' })
}

/// Whether the query of a path has a parameter.
fn has_parameter(path: &str, name: &str) -> bool {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).any(|(given, _)| given == name)
}

/// Refuses a call that is longer than a line of the control socket may be.
fn check_length(call: &CallApi) -> Result<(), CliError> {
    let length = serde_json::to_string(call).map_or(0, |text| text.len()) + ENVELOPE;
    if length <= MAX_LINE {
        return Ok(());
    }
    let mebibytes = length as f64 / (1024.0 * 1024.0);
    Err(CliError::usage(
        format!("the call has {mebibytes:.1} MiB, and the control socket takes at most 4 MiB"),
        "send fewer records at a time; or send it over HTTP with a key from: nbapps key create",
    ))
}

/// Prints an answer that is an error, and fails.
fn check_status(console: &Console, response: &ApiResponse, method: &str, path: &str) -> Result<(), CliError> {
    if response.status < 400 {
        return Ok(());
    }
    console.raw(response.body.get())?;
    let body: Value = serde_json::from_str(response.body.get()).unwrap_or_default();
    let why = body.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or("see its body");
    let path = path.split('?').next().unwrap_or_default();
    Err(CliError::Failed {
        message: format!("{method} {path} answered {}: {why}", response.status),
        hint: None,
    })
}

/// Prints a body.
fn print(console: &Console, body: &str) -> Result<(), CliError> {
    match console.format {
        Format::Table | Format::Wide | Format::Name => console.raw(body),
        Format::Json | Format::Template | Format::Toml => console.show(&parsed(body)?, "", String::new),
        Format::Yaml => console.show(&Shown::of(&parsed(body)?), "", String::new),
        Format::Jsonl => match serde_json::from_str::<Page<'_>>(body) {
            Ok(page) => page.data.iter().try_for_each(|record| console.raw(record.get())),
            Err(_) => console.raw(body),
        },
    }
}

fn parsed(body: &str) -> Result<Value, CliError> {
    serde_json::from_str(body).map_err(|error| CliError::Failed {
        message: format!("the answer of the application is not JSON: {error}"),
        hint: None,
    })
}

/// A page of a list.
#[derive(Debug, Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    meta: Option<Meta>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    total_page: Option<u64>,
    has_next: Option<bool>,
}

impl Page<'_> {
    /// Whether the page of this number is the last one.
    fn is_last(&self, number: u64) -> bool {
        match &self.meta {
            _ if self.data.is_empty() => true,
            Some(Meta { total_page: Some(total), .. }) => number >= *total,
            Some(Meta { has_next: Some(more), .. }) => !more,
            _ => true,
        }
    }
}

/// Prints all records of a list, page by page, as one array.
async fn all_pages(console: &Console, client: &Client, call: CallApi) -> Result<(), CliError> {
    if has_parameter(&call.path, "page") {
        return Err(CliError::usage(
            "--all-pages begins with the first page",
            "leave out the parameter page; pageSize says how many records are read at a time",
        ));
    }
    let path = match has_parameter(&call.path, "pageSize") {
        true => call.path.clone(),
        false => with_query(&call.path, &[("pageSize".to_owned(), PAGE_SIZE.to_owned())]),
    };
    let mut array = ArrayWriter::new(console);
    for number in 1.. {
        let path = with_query(&path, &[("page".to_owned(), number.to_string())]);
        let response = client.call::<AppApi>(CallApi { path, ..call.clone() }).await?;
        check_status(console, &response, &call.method, &call.path)?;
        let page: Page<'_> = serde_json::from_str(response.body.get()).map_err(|_| {
            CliError::usage(
                format!("{} is not a list in pages", call.path),
                "use --all-pages with an action such as posts:list",
            )
        })?;
        page.data.iter().try_for_each(|record| array.push(record.get()))?;
        if page.is_last(number) {
            break;
        }
    }
    array.finish()
}

/// Prints the elements of a JSON array as they come; YAML and templates at the end, which need all of them.
struct ArrayWriter<'a> {
    console: &'a Console,
    kept: Vec<Value>,
    is_empty: bool,
}

impl<'a> ArrayWriter<'a> {
    fn new(console: &'a Console) -> Self {
        Self { console, kept: Vec::new(), is_empty: true }
    }

    fn push(&mut self, element: &str) -> Result<(), CliError> {
        let begin = if std::mem::take(&mut self.is_empty) { '[' } else { ',' };
        match self.console.format {
            Format::Jsonl => self.console.raw(element),
            Format::Yaml | Format::Template | Format::Toml => {
                self.kept.push(parsed(element)?);
                Ok(())
            }
            Format::Table | Format::Wide | Format::Json | Format::Name => {
                self.console.raw(&format!("{begin}{element}"))
            }
        }
    }

    fn finish(self) -> Result<(), CliError> {
        match self.console.format {
            Format::Jsonl => Ok(()),
            Format::Yaml => self.console.show(&Shown::of(&self.kept.into()), "", String::new),
            Format::Template | Format::Toml => self.console.show(&self.kept, "", String::new),
            Format::Table | Format::Wide | Format::Json | Format::Name => {
                self.console.raw(if self.is_empty { "[]" } else { "]" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_found() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(with_query("posts:list", &[]), "posts:list");
        let filter = with_query("posts:list", &[pair("filter", "{\"a b\":\"ä&\"}"), pair("page", "2")]);
        assert_eq!(filter, "posts:list?filter=%7B%22a+b%22%3A%22%C3%A4%26%22%7D&page=2");
        assert!(has_parameter(&filter, "page") && !has_parameter(&filter, "pageSize"));
        assert_eq!(with_query("posts:list?a=b", &[pair("c", "d")]), "posts:list?a=b&c=d");
    }

    #[test]
    fn a_page_says_whether_it_is_the_last() {
        for (body, number, last) in [
            (r#"{"data":[1],"meta":{"totalPage":2}}"#, 1, false),
            (r#"{"data":[1],"meta":{"totalPage":2}}"#, 2, true),
            (r#"{"data":[],"meta":{"totalPage":2}}"#, 1, true),
            (r#"{"data":[1],"meta":{"hasNext":true}}"#, 1, false),
            (r#"{"data":[1]}"#, 1, true),
        ] {
            let page: Page<'_> = serde_json::from_str(body).unwrap();
            assert_eq!(page.is_last(number), last, "{body} {number}");
        }
    }

    #[test]
    fn a_call_that_is_too_long_is_refused() {
        let call = |length: usize| CallApi {
            id: AppId::parse("crm").unwrap(),
            method: "POST".into(),
            path: "posts:create".into(),
            user: None,
            headers: BTreeMap::new(),
            body: Some(Value::from("x".repeat(length))),
        };
        assert!(check_length(&call(MAX_LINE - 1000)).is_ok());
        assert!(matches!(check_length(&call(MAX_LINE)), Err(CliError::Usage { .. })));
    }
}
