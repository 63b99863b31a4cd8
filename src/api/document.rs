//! The description of the API (OpenAPI 3.1), made from the table of its paths and the types of its bodies.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, Content, ContentBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder,
    PathsBuilder, Ref, RefOr, Required, ResponseBuilder, Schema,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Details, MEDIA_TYPE};
use super::routes::{NamedSchema, Route};

/// The refusals that each operation may answer with.
const REFUSALS: [(StatusCode, &str); 13] = [
    (StatusCode::BAD_REQUEST, "The request cannot be read, or a value is wrong"),
    (StatusCode::UNAUTHORIZED, "The client did not prove to be an administrator"),
    (StatusCode::FORBIDDEN, "The administrator may not do this"),
    (StatusCode::NOT_FOUND, "There is no such thing"),
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "The path has no such method; `Allow` lists those that it has",
    ),
    (StatusCode::REQUEST_TIMEOUT, "The body took too long"),
    (StatusCode::CONFLICT, "The request contradicts what is recorded"),
    (StatusCode::PRECONDITION_FAILED, "Somebody changed the object meanwhile (If-Match)"),
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON"),
    (StatusCode::UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request"),
    (StatusCode::INTERNAL_SERVER_ERROR, "A fault of the server; its log says which"),
    (StatusCode::SERVICE_UNAVAILABLE, "The server is busy, or cannot do it now"),
];

/// Describes these paths. `session` is the cookie of sessions, if people may log in.
pub fn describe(routes: &[Route], session: Option<&str>) -> OpenApi {
    let mut schemas = BTreeMap::new();
    let mut paths = PathsBuilder::new();
    for route in routes {
        paths = paths
            .path(route.path, PathItem::new(method(route), operation(route, &mut schemas).build()));
    }
    schemas.insert(Details::name().into_owned(), Details::schema());
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .security_scheme(
            "certificate",
            SecurityScheme::MutualTls { description: None, extensions: None, deprecated: None },
        );
    let mut security = vec![
        SecurityRequirement::new("token", [""; 0]),
        SecurityRequirement::new("certificate", [""; 0]),
    ];
    if let Some(cookie) = session {
        let text = "A session. It begins when a browser is sent to `/login` and logs in at the OpenID provider, and ends with `POST /logout`. \
                    Changes need `Sec-Fetch-Site: same-origin`, or this server as the `Origin`.";
        let cookie =
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(cookie, text)));
        components = components.security_scheme("session", cookie);
        security.push(SecurityRequirement::new("session", [""; 0]));
    }
    let info = InfoBuilder::new()
        .title("Countersign administration")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Accounts, certificates, requests, CAs and administrators of a Countersign instance. A client proves who it is by the client \
             certificate of its TLS connection, by a token, or where people may log in by a session.",
        ));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.build()))
        .security(Some(security))
        .build()
}

fn method(route: &Route) -> HttpMethod {
    match route.method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// Describes one path and method. Its schemas are added to `schemas`.
fn operation(route: &Route, schemas: &mut BTreeMap<String, RefOr<Schema>>) -> OperationBuilder {
    let mut operation = OperationBuilder::new().summary(Some(route.summary));
    let named = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')));
    for name in named {
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(text_like(pattern(name))))
                .build(),
        );
    }
    for parameter in &route.query {
        let schema = match parameter.is_number {
            true => plain(Type::Integer),
            false => plain(Type::String),
        };
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(parameter.name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(parameter.meaning))
                .schema(Some(schema))
                .build(),
        );
    }
    if route.success == StatusCode::CREATED {
        operation = operation.parameter(header(
            "Idempotency-Key",
            "A text of the client's choice. The same request with the same key gets the same answer for an hour",
        ));
    }
    if let Some(body) = route.body {
        let content = content(body(), schemas);
        let body = RequestBodyBuilder::new()
            .content("application/json", content)
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let answer = ResponseBuilder::new()
        .description("Done")
        .content("application/json", content((route.answer)(), schemas));
    operation = operation.response(route.success.as_str(), answer.build());
    for (status, meaning) in REFUSALS {
        let schema = RefOr::Ref(Ref::from_schema_name(Details::name()));
        let refusal = ResponseBuilder::new()
            .description(meaning)
            .content(MEDIA_TYPE, ContentBuilder::new().schema(Some(schema)).build());
        operation = operation.response(status.as_str(), refusal.build());
    }
    operation
}

fn header(name: &str, meaning: &str) -> utoipa::openapi::path::Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(meaning))
        .schema(Some(plain(Type::String)))
        .build()
}

/// The form of a parameter of a path.
fn pattern(parameter: &str) -> &'static str {
    match parameter {
        "serial" => "^([0-9a-f]{2}){1,16}$",
        "id" => "^[0-9a-f]{6,32}$",
        _ => "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$",
    }
}

fn text_like(pattern: &str) -> Schema {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    Schema::Object(text.pattern(Some(pattern)).build())
}

fn plain(kind: Type) -> Schema {
    Schema::Object(ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build())
}

/// The content of a body. The schemas of its types are added to `schemas`.
fn content(named: NamedSchema, schemas: &mut BTreeMap<String, RefOr<Schema>>) -> Content {
    let NamedSchema { name, is_list, schemas: own } = named;
    schemas.extend(own);
    let one = RefOr::Ref(Ref::from_schema_name(name));
    let schema = match is_list {
        true => RefOr::T(Schema::Array(ArrayBuilder::new().items(one).build())),
        false => one,
    };
    ContentBuilder::new().schema(Some(schema)).build()
}
