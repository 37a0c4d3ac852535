//! The base of the OpenAPI document, and what is common to all operations.

use erp_auth::Access;
use erp_auth::access::RULES;
use strum::VariantArray;
use utoipa::PartialSchema;
use utoipa::openapi::info::{Contact, License};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, ContentBuilder, Info, OpenApi, RefOr, ResponseBuilder};
use utoipa::openapi::{OpenApiBuilder, Ref};

use crate::problem::ProblemDocument;
use crate::{FieldError, ProblemKind};

/// Tags with their descriptions, in the order of the document.
const TAGS: [(&str, &str); 8] = [
    ("auth", "Registration, login and password reset."),
    ("customers", "Contacts that buy from us."),
    ("vendors", "Contacts that sell to us."),
    ("items", "Items that are bought, stocked and sold."),
    ("stock", "Quantities in stock, and the movements that add up to them."),
    ("sales orders", "Orders of customers."),
    ("purchase orders", "Orders to vendors."),
    ("platform", "Health, and this document."),
];

/// Routes that repeat without harm and store no response, because it is a secret.
const WITHOUT_IDEMPOTENCY_KEY: [&str; 3] =
    ["/api/auth/login", "/api/auth/forgot-password", "/api/auth/service-token"];

/// The schema of an amount in a request: a number or a string with at most two decimals.
pub fn money_input() -> Schema {
    let number =
        ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(9_999_999_999_999.99));
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^[0-9]{1,13}(\.[0-9]{1,2})?$"));
    let one_of = OneOfBuilder::new()
        .item(number.build())
        .item(text.build())
        .description(Some("An exact amount with at most two decimals, as a number or a string."));
    Schema::OneOf(one_of.examples([serde_json::json!(1800.00)]).build())
}

/// Returns the base of a service's document. `OpenApiRouter::new` would use its own title.
pub fn base() -> OpenApi {
    let mut license = License::new("MIT OR Apache-2.0");
    license.identifier = Some("MIT OR Apache-2.0".to_owned());
    let repository = "https://github.com/erp-order-platform/erp-order-platform";
    let contact = Contact::builder().name(Some("ERP order platform")).url(Some(repository));
    let info = Info::builder()
        .title("ERP order platform")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Customers and vendors, items and stock, sales and purchase orders. Log in with `POST /api/auth/login` \
             and enter the token under *Authorize*.",
        ))
        .contact(Some(contact.build()))
        .license(Some(license))
        .build();
    let mut components = Components::new();
    components.schemas.insert("Problem".into(), ProblemDocument::schema());
    components.schemas.insert("FieldError".into(), FieldError::schema());
    components.schemas.insert("Meta".into(), crate::paging::Meta::schema());
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
    );
    // Relative to the document, which may be below a stage or a base path.
    let server =
        ServerBuilder::new().url(".").description(Some("The platform that serves this document")).build();
    let tags = TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([server]))
        .components(Some(components))
        .tags(Some(tags))
        .build()
}

/// Adds to every operation what follows from the access rules and the conventions: security, headers, errors and the
/// response envelope. Must run once. A route without a rule requires security, because it is denied.
pub fn finish(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("PATCH", &mut item.patch),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                let rule = RULES.iter().find(|rule| rule.method == method && rule.path == path);
                describe(operation, method, path, rule.map(|rule| rule.access));
            }
        }
    }
    for (name, schema) in document.components.iter_mut().flat_map(|components| &mut components.schemas) {
        let is_text =
            matches!(schema, RefOr::T(Schema::Object(text)) if text.schema_type == Type::String.into());
        if is_text || name.ends_with("Request") {
            restrict_request(schema);
        }
    }
    document
}

/// Members of a character class: control and format characters of the Basic Multilingual Plane. Not as `\p{C}`, which
/// few libraries for regular expressions know.
const INVISIBLE: &str = concat!(
    r"\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e",
    r"\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb",
);

/// Documents what the server rejects in every request: unknown fields, and control and format characters in texts.
/// Responses may gain fields.
fn restrict_request(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Object) => {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            object.properties.values_mut().for_each(restrict_request);
        }
        RefOr::T(Schema::Object(text)) if text.format.is_none() && text.pattern.is_none() => {
            let character = format!(r"(\t|[^{INVISIBLE}])*");
            text.pattern = match (text.min_length, text.max_length) {
                (_, None) => None,
                (Some(1..), _) => Some(format!(r"^{character}[^\s{INVISIBLE}]{character}$")),
                // Shorter texts are of one line, others of several.
                (_, Some(..500)) => Some(format!("^{character}$")),
                _ => Some(format!(r"^(\r?\n|\t|[^{INVISIBLE}])*$")),
            };
        }
        RefOr::T(Schema::OneOf(one_of)) => one_of.items.iter_mut().for_each(restrict_request),
        _ => {}
    }
}

fn describe(operation: &mut Operation, method: &str, path: &str, access: Option<Access>) {
    let public = access == Some(Access::Public);
    let bearer = SecurityRequirement::new::<_, _, &str>("bearer", []);
    operation.security = Some(match public {
        // Where registration is closed, a finance manager registers users. Users see the dependencies of the platform.
        true if ["/api/auth/register", "/health"].contains(&path) => {
            vec![SecurityRequirement::default(), bearer]
        }
        true => Vec::new(),
        false => vec![bearer],
    });
    let allowed = match access {
        Some(Access::FinanceManager) => "Allowed for finance managers.",
        Some(Access::Reader) => "Allowed for users of any role, and for services.",
        Some(Access::Manager) => "Allowed for users of any role.",
        Some(Access::Public) => "Public: no token is needed.",
        None => "",
    };
    let description = format!("{}\n\n{allowed}", operation.description.as_deref().unwrap_or(""));
    operation.description = Some(description.trim().to_owned());
    if !path.starts_with("/api/") {
        errors(operation, &[429]);
        return;
    }
    add_envelope(operation);
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content {
                content.schema = content.schema.take().map(without_null);
            }
        }
    }
    let mut statuses = vec![400, 405, 429, 500, 503];
    if operation.security.as_ref().is_some_and(|security| !security.is_empty()) {
        statuses.extend([401, 403]);
    }
    if path.contains('{') {
        statuses.push(404);
    }
    if ["POST", "PUT"].contains(&method) {
        statuses.extend([413, 415]);
    }
    if ["POST", "PUT"].contains(&method) && !WITHOUT_IDEMPOTENCY_KEY.contains(&path) {
        statuses.extend([409, 422]);
        let key = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
        let key = key.pattern(Some(r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$"));
        let text = "Repeating a request with its key returns the first response again, for 24 hours.";
        header(operation, "Idempotency-Key", text, key);
    }
    if ["PUT", "DELETE"].contains(&method) || (method == "POST" && path.contains("{id}")) {
        statuses.push(412);
        let tags = ObjectBuilder::new().schema_type(Type::String);
        let tags = tags.pattern(Some(r#"^(\*|"[0-9]+"(, ?"[0-9]+")*)$"#));
        header(operation, "If-Match", "The expected version, as in ETag; 412 if it is another.", tags);
    }
    errors(operation, &statuses);
}

/// The schema of a body that may be absent. utoipa documents it as "null or the object", but `null` is rejected.
fn without_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let is_null = |item: &RefOr<Schema>| matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    match schema {
        RefOr::T(Schema::OneOf(mut one_of)) if one_of.items.iter().any(is_null) => {
            one_of.items.retain(|item| !is_null(item));
            match one_of.items.len() {
                1 => one_of.items.remove(0),
                _ => RefOr::T(Schema::OneOf(one_of)),
            }
        }
        schema => schema,
    }
}

fn errors(operation: &mut Operation, statuses: &[u16]) {
    for status in statuses {
        let kinds = ProblemKind::VARIANTS.iter().filter(|kind| kind.status() == *status);
        let codes: Vec<_> = kinds.map(|kind| kind.code()).collect();
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description(codes.join(", "))
            .content("application/problem+json", problem)
            .build();
        operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response));
    }
}

/// Wraps the documented data of a success in the envelope of [`Reply`](crate::Reply).
fn add_envelope(operation: &mut Operation) {
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

fn header(operation: &mut Operation, name: &str, description: &str, schema: ObjectBuilder) {
    use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(schema.build()))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}
