//! Parameters: the query of a GET, the form or the JSON object of a POST, all alike.
//!
//! A handler takes `Params<T>`, where `T` derives `Deserialize` and [`IntoParams`]; the latter documents the parameters and
//! says which there are, so that one misspelt is refused with the nearest name. Numbers, texts and lists are read from
//! text, wherever they came from: `alert_id=123`, `{"alert_id": 123}` and `{"alert_id": "123"}` are the same. A list is
//! written `a,b,c`, as a JSON array, or by repeating the parameter.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::problem::{Problem, shown};
use super::table::{Format, Shape};
use super::typed;
use crate::suggest;

/// Most parameters of a request.
const MOST: usize = 64;

/// The parameters of a request.
pub struct Params<T>(pub T);

/// No parameters: whatever is given is refused.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Nothing {}

/// The parameters of a request that is answered by a table, and how the table is wanted.
pub struct TableParams<T>(pub T, pub Shape);

impl<T: DeserializeOwned + IntoParams, S: Send + Sync> FromRequest<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (given, _) = Given::gather(request, state).await?;
        let names = names::<T>();
        given.refuse_others(&names)?;
        Ok(Self(given.read(&names)?))
    }
}

impl<T: DeserializeOwned + IntoParams, S: Send + Sync> FromRequest<S> for TableParams<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (given, headers) = Given::gather(request, state).await?;
        let (own, shaping) = (names::<T>(), names::<Shape>());
        given.refuse_others(&[own.clone(), shaping.clone()].concat())?;
        let mut shape: Shape = given.read(&shaping)?;
        shape.format = shape.format.or_else(|| accepted(&headers));
        Ok(Self(given.read(&own)?, shape))
    }
}

/// The format that `Accept` likes best among those that tables have; of equal ones the first.
fn accepted(headers: &HeaderMap) -> Option<Format> {
    let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
    let mut best: Option<(f32, Format)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some(format) = parts.next().and_then(Format::of_content_type) else {
            continue;
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
        let weight: f32 = weight.unwrap_or(1.0);
        if weight > 0.0 && best.is_none_or(|(before, _)| weight > before) {
            best = Some((weight, format));
        }
    }
    best.map(|(_, format)| format)
}

fn names<T: IntoParams>() -> Vec<String> {
    let parameters = T::into_params(|| None).into_iter();
    parameters.map(|parameter| parameter.name).collect()
}

/// Names and texts as they were given.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<(String, String)>);

impl Given {
    /// Reads the query and the body.
    pub(super) async fn gather<S: Send + Sync>(
        request: Request,
        state: &S,
    ) -> Result<(Self, HeaderMap), Problem> {
        let mut given = Self::default();
        given.add_form(request.uri().query().unwrap_or_default().as_bytes())?;
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await.map_err(|error| {
            let code = match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => "too_large",
                _ => "bad_body",
            };
            Problem::new(error.status(), code, error.body_text())
        })?;
        given.add_body(&headers, &body)?;
        Ok((given, headers))
    }

    fn add_body(&mut self, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
        if body.is_empty() {
            return Ok(());
        }
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        match kind.trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => self.add_form(body),
            "application/json" => self.add_json(body),
            other => {
                let detail = format!(
                    "the body is `{}`, expected `application/json` or `application/x-www-form-urlencoded`",
                    shown(other)
                );
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Err(Problem::new(status, "unsupported_media_type", detail))
            }
        }
    }

    fn add_form(&mut self, form: &[u8]) -> Result<(), Problem> {
        for (name, text) in form_urlencoded::parse(form) {
            self.add(&name, text.into_owned())?;
        }
        Ok(())
    }

    fn add_json(&mut self, body: &[u8]) -> Result<(), Problem> {
        let object: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            let detail = format!("the body is no JSON object of parameters: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "bad_body", detail)
        })?;
        for (name, value) in object {
            let Some(text) = plain(&value) else {
                let detail = format!(
                    "`{}` is an object, expected a text, a number or a list of them",
                    shown(&name)
                );
                return Err(Problem::bad_parameter(&shown(&name), detail));
            };
            if !value.is_null() {
                self.add(&name, text)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, text: String) -> Result<(), Problem> {
        // Both spellings are in use among astronomers.
        let name = if name == "output_format" {
            "output-format"
        } else {
            name
        };
        if let Some((_, before)) = self.0.iter_mut().find(|(known, _)| known == name) {
            before.push(',');
            before.push_str(&text);
            return Ok(());
        }
        if self.0.len() == MOST {
            let detail = format!("there are more than {MOST} parameters");
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_parameter",
                detail,
            ));
        }
        self.0.push((name.to_owned(), text));
        Ok(())
    }

    /// The value of a parameter, its name in any case.
    pub(super) fn any_case(&self, name: &str) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, text)| text.as_str())
    }

    fn refuse_others(&self, names: &[String]) -> Result<(), Problem> {
        let unknown = self.0.iter().find(|(name, _)| !names.contains(name));
        let Some((name, _)) = unknown else {
            return Ok(());
        };
        let hint = suggest::hint(name, names.iter().map(String::as_str));
        let detail = format!("there is no parameter `{}`{hint}", shown(name));
        let problem = Problem::new(StatusCode::BAD_REQUEST, "unknown_parameter", detail);
        let all = match names.is_empty() {
            true => "this takes no parameters".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        Err(problem.at(shown(name)).hint(all))
    }

    /// Reads those of these names. One that is there without a value is as good as not there.
    fn read<T: DeserializeOwned>(&self, names: &[String]) -> Result<T, Problem> {
        let own = self.0.iter();
        let own = own.filter(|(name, text)| names.contains(name) && !text.is_empty());
        typed::read(&own.collect::<Vec<_>>())
    }
}

/// A value as text; `None` for an object.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(plain).collect();
            Some(items?.join(","))
        }
        Value::Object(_) => None,
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place.
    #[derive(Debug, Deserialize, IntoParams, PartialEq)]
    #[into_params(parameter_in = Query)]
    struct Place {
        /// `[deg]`
        ra: f64,
        /// An alert.
        alert_id: Option<i64>,
        /// Names.
        names: Option<Vec<String>>,
        /// Way.
        order: Option<Order>,
    }

    #[derive(Debug, Deserialize, PartialEq, utoipa::ToSchema)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Newest,
        Oldest,
    }

    fn read(request: Request) -> Result<Place, Problem> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let read = Params::<Place>::from_request(request, &());
        runtime.unwrap().block_on(read).map(|Params(place)| place)
    }

    fn get(query: &str) -> Result<Place, Problem> {
        let request = axum::http::Request::get(format!("/?{query}"));
        read(request.body(Default::default()).unwrap())
    }

    fn post(kind: &str, body: &'static str) -> Result<Place, Problem> {
        let request = axum::http::Request::post("/").header(header::CONTENT_TYPE, kind);
        read(request.body(body.into()).unwrap())
    }

    #[test]
    fn query_form_and_json_are_alike_and_ids_may_be_numbers() {
        let expected = Place {
            ra: 1.5,
            alert_id: Some(3_155_240_240_015_010_001),
            names: Some(vec!["a".into(), "b".into()]),
            order: Some(Order::Oldest),
        };
        let form = "ra=1.5&alert_id=3155240240015010001&names=a%2Cb&order=oldest";
        assert_eq!(get(form).as_ref(), Ok(&expected));
        assert_eq!(
            get(&form.replace("a%2Cb", "a&names=b")).as_ref(),
            Ok(&expected)
        );
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        assert_eq!(post(kind, form).as_ref(), Ok(&expected));
        for id in ["3155240240015010001", "\"3155240240015010001\""] {
            let body = format!(
                r#"{{"ra": 1.5, "alert_id": {id}, "names": ["a", "b"], "order": "oldest"}}"#
            );
            let read = post("application/json", body.leak());
            assert_eq!(read.as_ref(), Ok(&expected));
        }
        assert_eq!(get("ra=1.5&alert_id=").unwrap().alert_id, None);
    }

    #[test]
    fn what_cannot_be_read_says_which_parameter_and_why() {
        let told = |outcome: Result<Place, Problem>| {
            let problem = outcome.unwrap_err();
            format!(
                "{} at {}: {}",
                problem.code,
                problem.place.unwrap_or_default(),
                problem.detail
            )
        };
        let cases = [
            get("ra=x"),
            get("ra=NaN"),
            get("ra=1e400"),
            get("ra=1&alert_id=9223372036854775808"),
            get("ra=1&order=newst"),
            get("ra=1&alertid=1"),
            get("alert_id=1"),
            post("application/json", "[1]"),
            post("application/json", r#"{"ra": {"x": 1}}"#),
            post("text/xml", "<a/>"),
        ];
        insta::assert_snapshot!(cases.map(told).join("\n"));
    }

    #[test]
    fn what_a_client_likes_best_is_sent() {
        let liked = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            accepted(&headers)
        };
        assert_eq!(
            liked("text/csv;q=0.1, application/json"),
            Some(Format::Json)
        );
        assert_eq!(
            liked("text/html, TEXT/CSV ; q=0.9, */*;q=0.1"),
            Some(Format::Csv)
        );
        assert_eq!(
            liked("text/csv, application/x-votable+xml"),
            Some(Format::Csv)
        );
        assert_eq!(liked("text/csv;q=0"), None);
        assert_eq!(liked("text/html"), None);
    }
}
