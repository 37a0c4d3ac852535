//! The base of the OpenAPI document, and what is the same for every operation.

use erp_auth::Access;
use erp_auth::access::RULES;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Info, OpenApi, RefOr, ResponseBuilder};
use utoipa::openapi::{OpenApiBuilder, Ref, Server};
use utoipa::{PartialSchema, ToSchema};

use crate::Kind;

/// One fault of a request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
struct FieldError {
    /// JSON pointer into the body.
    #[schema(example = "/items/0/quantity")]
    pointer: Option<String>,
    /// Name of the parameter in the path, query or headers.
    parameter: Option<String>,
    /// What is wrong with it.
    #[schema(example = "must be at least 1")]
    detail: String,
}

/// An error (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
struct Problem {
    /// A stable URI per kind.
    #[schema(example = "urn:erp:problem:validation_failed")]
    r#type: String,
    #[schema(example = "Validation failed")]
    title: String,
    #[schema(example = 400)]
    status: u16,
    detail: String,
    /// Path of the request.
    instance: String,
    /// A stable word for programs.
    #[schema(example = "validation_failed")]
    code: String,
    /// The one in `X-Request-Id` and in the logs.
    request_id: String,
    /// Every fault at once.
    errors: Option<Vec<FieldError>>,
}

/// The query of a list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes")]
pub struct ListParams {
    /// Rows of the page.
    #[param(default = 10, minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Rows to skip.
    #[param(default = 0, minimum = 0, maximum = 10000)]
    offset: Option<usize>,
    /// With `size`, another way to say `offset`: the first page is 1.
    #[param(minimum = 1)]
    page: Option<usize>,
    /// Another word for `limit`.
    #[param(minimum = 1, maximum = 100)]
    size: Option<usize>,
    /// The `next_cursor` of the page before: cheap and right however many rows are added.
    cursor: Option<String>,
}

/// The id in a path.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only describes")]
pub struct IdParam {
    /// UUID.
    id: uuid::Uuid,
}

/// What a service's document starts from: a router of its own would add its own title.
pub fn base() -> OpenApi {
    let info = Info::builder()
        .title("ERP order platform")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Customers and vendors, items and stock, sales and purchase orders. Log in with `POST /api/auth/login` \
             and give the token to *Authorize*.",
        ))
        .build();
    let mut components = Components::new();
    components.schemas.insert("Problem".into(), Problem::schema());
    components.schemas.insert("FieldError".into(), FieldError::schema());
    components.schemas.insert("Meta".into(), crate::paging::Meta::schema());
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
    );
    // Relative to where the document is, which may be below a stage that no function sees.
    let servers = [Server::new(".")];
    OpenApiBuilder::new().info(info).servers(Some(servers)).components(Some(components)).build()
}

/// Adds to every operation what follows from the access rules and the conventions: security, headers, errors, and
/// the envelope around what it answers with. Once: a second envelope would go around the first.
///
/// A route without a rule gets security, as it would be denied.
pub fn finish(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                let rule = RULES.iter().find(|rule| rule.method == method && rule.path == path);
                describe(operation, method, path, rule.map(|rule| rule.access));
            }
        }
    }
    document
}

fn describe(operation: &mut Operation, method: &str, path: &str, access: Option<Access>) {
    let public = access == Some(Access::Public);
    if !public {
        operation.security = Some(vec![SecurityRequirement::new::<_, _, &str>("bearer", [])]);
    }
    let who = match access {
        Some(Access::FinanceManager) => Some("Only a finance manager may."),
        Some(Access::Reader) => Some("Any user may, and services."),
        Some(Access::Manager) => Some("Any user may."),
        Some(Access::Public) | None => None,
    };
    if let Some(who) = who {
        let text = operation.description.take().unwrap_or_default();
        operation.description = Some(format!("{text}\n\n{who}").trim().to_owned());
    }
    if !path.starts_with("/api/") {
        return;
    }
    envelop(operation);
    let mut statuses = vec![400, 429, 500, 503];
    if !public {
        statuses.extend([401, 403]);
    }
    if path.contains('{') {
        statuses.push(404);
    }
    if method == "POST" || method == "PUT" {
        statuses.extend([409, 413, 415, 422]);
        header(
            operation,
            "Idempotency-Key",
            "The same key and body give the first answer again, for 24 hours.",
        );
    }
    if (method == "PUT" && !path.ends_with("/stock")) || (method == "POST" && path.contains("{id}")) {
        statuses.push(412);
        header(operation, "If-Match", "The version that is meant, as its ETag; any other is a 412.");
    }
    for status in statuses {
        let titles: Vec<_> =
            Kind::ALL.iter().filter(|kind| kind.status() == status).map(|kind| kind.code()).collect();
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(titles.join(", "))
            .content("application/problem+json", problem)
            .build();
        operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response));
    }
}

/// Puts the data that a success is described with where it is: into the envelope that [`Reply`](crate::Reply) makes.
fn envelop(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let Some(status) = status.parse::<u16>().ok().filter(|status| (200..300).contains(status)) else {
            continue;
        };
        if response.description.is_empty() {
            response.description = if status == 201 { "Created." } else { "Done." }.to_owned();
        }
        for content in response.content.values_mut() {
            if let RefOr::T(content) = content {
                content.schema = content.schema.take().map(|data| envelope(status, data));
            }
        }
    }
}

fn envelope(status: u16, data: RefOr<Schema>) -> RefOr<Schema> {
    let is_list = matches!(data, RefOr::T(Schema::Array(_)));
    let number = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status]));
    let mut envelope = ObjectBuilder::new()
        .property("status", number.build())
        .required("status")
        .property("message", String::schema())
        .required("message")
        .property("data", data)
        .required("data");
    if is_list {
        envelope = envelope.property("meta", Ref::from_schema_name("Meta")).required("meta");
    }
    RefOr::T(Schema::Object(envelope.build()))
}

fn header(operation: &mut Operation, name: &str, description: &str) {
    use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(String::schema()))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}
