//! The OpenAPI 3.1 document: what the handlers say of themselves, and what is the same for all of them.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{ComponentsBuilder, RefOr, Required};
use utoipa::openapi::{
    Content, Info, License, OpenApi, OpenApiBuilder, Ref, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::codes;
use super::problem::{self, ProblemBody};
use super::table::Format;

const DESCRIPTION: &str = "\
Alerts, objects, light curves, cutouts, filters' matches and SQL over the archive of a Pitt Broker.

Every endpoint that only reads takes GET with a query and POST with a form or a JSON object alike. 64-bit ids are texts in \
JSON, because many readers round them; as parameters they may be texts or numbers. Positions are ICRS in degrees, radii in \
arcsec, times MJD (TAI) unless a name ends in `_us` (microseconds since 1970, UTC) or `utc`. Fluxes are nJy with their sign, \
magnitudes AB. What is wrong is said as RFC 9457 has it, with a stable `code`.";

/// What stands before the paths.
pub fn head() -> OpenApi {
    let license = License::builder()
        .name("BSD-3-Clause")
        .identifier(Some("BSD-3-Clause"));
    let info = Info::builder()
        .title("Pitt Broker")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license.build()));
    let components = ComponentsBuilder::new().schema(ProblemBody::name(), ProblemBody::schema());
    let errors = Extensions::builder().add("x-errors", codes::listed());
    let mut document = OpenApiBuilder::new()
        .info(info.build())
        .components(Some(components.build()))
        .build();
    document.extensions = Some(errors.build());
    document
}

/// Adds what all operations have: problems as answers, the body of a POST, an id for each.
pub fn finish(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post] {
            operation.iter_mut().for_each(add_formats);
            operation.iter_mut().for_each(add_example);
        }
        // The same question by POST; another operation has an id of its own.
        let asked = item.get.as_ref().map(|get| get.operation_id.clone());
        if let Some(post) = item.post.as_mut() {
            if asked.is_some_and(|id| id == post.operation_id) {
                rename(post);
                take_body(post);
            }
            add_problem(post);
        }
        for operation in [&mut item.get, &mut item.put, &mut item.delete] {
            operation.iter_mut().for_each(add_problem);
        }
    }
    document
}

/// Answers that a simulated archive gave, cut to a size for reading, by operation.
static EXAMPLES: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    // Kept as it must be by a test.
    serde_json::from_str(include_str!("examples.json")).unwrap_or_default()
});

/// An operation with an example shows it.
fn add_example(operation: &mut Operation) {
    let example = operation.operation_id.as_ref();
    let Some(example) = example.and_then(|id| EXAMPLES.get(id)) else {
        return;
    };
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200")
        && let Some(content) = response.content.get_mut("application/json")
    {
        content.example = Some(example.clone());
    }
}

/// A table comes in every format.
fn add_formats(operation: &mut Operation) {
    let parameters = operation.parameters.iter().flatten();
    if !parameters
        .into_iter()
        .any(|one| one.name == "output-format")
    {
        return;
    }
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
        for kind in Format::content_types() {
            let bytes = || Content::new(Some(<Vec<u8> as PartialSchema>::schema()));
            response
                .content
                .entry(kind.to_owned())
                .or_insert_with(bytes);
        }
    }
}

fn rename(post: &mut Operation) {
    if let Some(id) = post.operation_id.as_mut() {
        id.push_str("_post");
    }
}

/// The parameters of the query become members of the body.
fn take_body(post: &mut Operation) {
    let parameters = post.parameters.take().unwrap_or_default();
    let (query, others): (Vec<_>, Vec<_>) = parameters
        .into_iter()
        .partition(|one| one.parameter_in == ParameterIn::Query);
    if !others.is_empty() {
        post.parameters = Some(others);
    }
    if query.is_empty() {
        return;
    }
    let mut object = ObjectBuilder::new();
    let mut needed = Required::False;
    for parameter in query {
        if parameter.required == Required::True {
            object = object.required(parameter.name.clone());
            needed = Required::True;
        }
        if let Some(schema) = parameter.schema {
            object = object.property(parameter.name, schema);
        }
    }
    let object = object.build();
    let body = RequestBodyBuilder::new()
        .description(Some("The parameters of GET, as a JSON object or a form."))
        .content("application/json", Content::new(Some(object.clone())))
        .content(
            "application/x-www-form-urlencoded",
            Content::new(Some(object)),
        )
        .required(Some(needed));
    post.request_body = Some(body.build());
}

fn add_problem(operation: &mut Operation) {
    let content = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
    let response: Response = ResponseBuilder::new()
        .description("What is wrong: where, and what to do.")
        .content(problem::CONTENT_TYPE, content)
        .build();
    let responses = &mut operation.responses.responses;
    for status in ["4XX", "5XX"] {
        responses.insert(status.to_owned(), response.clone().into());
    }
}
