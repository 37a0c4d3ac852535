//! Routes and handlers.

use std::sync::Arc;

use axum::extract::State;
use erp_contracts::Answer;
use erp_domain::contact::{Contact, ContactDetails, ContactKind, Party};
use erp_domain::{Email, Timestamp};
use erp_http::paging::Meta;
use erp_http::{
    Body, Fields, FinanceManager, FromBody, Idempotency, IfMatch, Kind, ListQuery, Manager, PathId, Problem,
    Reader, Reply, RequestInfo, openapi,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::{Contacts, Refusal};

/// What a client says of a customer or vendor.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what ContactDetails is read from")]
struct ContactRequest {
    /// 1 to 255 characters.
    #[schema(example = "Acme Ltd")]
    name: String,
    /// Unique among the customers, or among the vendors, whatever the letter case.
    #[schema(example = "orders@acme.example")]
    email: String,
    /// At most 50 characters.
    #[schema(example = "+1 555 0100")]
    phone: Option<String>,
    /// At most 500 characters.
    #[schema(example = "1 Main Street")]
    address: Option<String>,
}

/// A customer or vendor.
#[derive(Serialize, ToSchema)]
struct ContactData {
    #[schema(value_type = uuid::Uuid)]
    id: erp_domain::Id<Party>,
    name: String,
    #[schema(value_type = String)]
    email: Email,
    phone: String,
    address: String,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<&Contact> for ContactData {
    fn from(contact: &Contact) -> Self {
        let ContactDetails { name, email, phone, address } = contact.details.clone();
        let &Contact { id, version, created_at, updated_at, .. } = contact;
        Self { id, name, email, phone, address, version, created_at, updated_at }
    }
}

struct Form(ContactDetails);

impl FromBody for Form {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.text("name", ContactDetails::name);
        let email = fields.text("email", Email::parse);
        let phone = fields.optional_text("phone", ContactDetails::phone);
        let address = fields.optional_text("address", ContactDetails::address);
        Some(Self(ContactDetails {
            name: name?,
            email: email?,
            phone: phone?.unwrap_or_default(),
            address: address?.unwrap_or_default(),
        }))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(kind) => Self::not_found(kind.title()),
            Refusal::EmailTaken(kind) => {
                let detail = format!("Another {} has this e-mail address.", kind.as_str());
                Self::new(Kind::DuplicateEmail, detail).at("/email", "is taken")
            }
            Refusal::VersionMismatch(found) => Self::version_mismatch(found),
            Refusal::Busy => Self::new(Kind::Conflict, "Others change this at the same time; try again."),
        }
    }
}

type Service = State<Arc<Contacts>>;

/// The routes of both kinds, with their description.
pub fn router(contacts: Contacts) -> OpenApiRouter {
    routes().with_state(Arc::new(contacts))
}

/// The description of the routes.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Contacts>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list_customers, create_customer))
        .routes(routes!(get_customer, update_customer, delete_customer))
        .routes(routes!(list_vendors, create_vendor))
        .routes(routes!(get_vendor, update_vendor, delete_vendor))
}

/// Lists the customers, newest first.
#[utoipa::path(get, path = "/api/customers", tag = "customers", params(openapi::ListParams), responses((status = 200, body = [ContactData])))]
async fn list_customers(_: Reader, State(contacts): Service, query: ListQuery) -> Result<Reply, Problem> {
    list(&contacts, ContactKind::Customer, query).await
}

/// Creates a customer.
#[utoipa::path(post, path = "/api/customers", tag = "customers", request_body = ContactRequest, responses((status = 201, body = ContactData)))]
async fn create_customer(
    _: Manager,
    State(contacts): Service,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(details) = body.read()?;
    Ok(contacts.create(ContactKind::Customer, details, info.write(key, created)).await?.into())
}

/// Gives a customer.
#[utoipa::path(get, path = "/api/customers/{id}", tag = "customers", params(openapi::IdParam), responses((status = 200, body = ContactData)))]
async fn get_customer(
    _: Reader,
    State(contacts): Service,
    PathId(id): PathId<Party>,
) -> Result<Reply, Problem> {
    Ok(found(&contacts.get(ContactKind::Customer, id).await?)?.into())
}

/// Changes a customer.
#[utoipa::path(put, path = "/api/customers/{id}", tag = "customers", params(openapi::IdParam), request_body = ContactRequest, responses((status = 200, body = ContactData)))]
async fn update_customer(
    _: Manager,
    State(contacts): Service,
    PathId(id): PathId<Party>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(details) = body.read()?;
    Ok(contacts.update(ContactKind::Customer, id, details, &expect, info.write(key, updated)).await?.into())
}

/// Deletes a customer. Its e-mail address is free again; orders that name it keep their data.
#[utoipa::path(delete, path = "/api/customers/{id}", tag = "customers", params(openapi::IdParam), responses((status = 200, body = ContactData)))]
async fn delete_customer(
    _: FinanceManager,
    State(contacts): Service,
    PathId(id): PathId<Party>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    let write = info.write(Idempotency(None), deleted);
    Ok(contacts.delete(ContactKind::Customer, id, &expect, write).await?.into())
}

/// Lists the vendors, newest first.
#[utoipa::path(get, path = "/api/vendors", tag = "vendors", params(openapi::ListParams), responses((status = 200, body = [ContactData])))]
async fn list_vendors(_: Reader, State(contacts): Service, query: ListQuery) -> Result<Reply, Problem> {
    list(&contacts, ContactKind::Vendor, query).await
}

/// Creates a vendor.
#[utoipa::path(post, path = "/api/vendors", tag = "vendors", request_body = ContactRequest, responses((status = 201, body = ContactData)))]
async fn create_vendor(
    _: Manager,
    State(contacts): Service,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(details) = body.read()?;
    Ok(contacts.create(ContactKind::Vendor, details, info.write(key, created)).await?.into())
}

/// Gives a vendor.
#[utoipa::path(get, path = "/api/vendors/{id}", tag = "vendors", params(openapi::IdParam), responses((status = 200, body = ContactData)))]
async fn get_vendor(
    _: Reader,
    State(contacts): Service,
    PathId(id): PathId<Party>,
) -> Result<Reply, Problem> {
    Ok(found(&contacts.get(ContactKind::Vendor, id).await?)?.into())
}

/// Changes a vendor.
#[utoipa::path(put, path = "/api/vendors/{id}", tag = "vendors", params(openapi::IdParam), request_body = ContactRequest, responses((status = 200, body = ContactData)))]
async fn update_vendor(
    _: Manager,
    State(contacts): Service,
    PathId(id): PathId<Party>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(details) = body.read()?;
    Ok(contacts.update(ContactKind::Vendor, id, details, &expect, info.write(key, updated)).await?.into())
}

/// Deletes a vendor. Its e-mail address is free again; orders that name it keep their data.
#[utoipa::path(delete, path = "/api/vendors/{id}", tag = "vendors", params(openapi::IdParam), responses((status = 200, body = ContactData)))]
async fn delete_vendor(
    _: FinanceManager,
    State(contacts): Service,
    PathId(id): PathId<Party>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    let write = info.write(Idempotency(None), deleted);
    Ok(contacts.delete(ContactKind::Vendor, id, &expect, write).await?.into())
}

async fn list(contacts: &Contacts, kind: ContactKind, query: ListQuery) -> Result<Reply, Problem> {
    let page = query.finish()?;
    let found = contacts.list(kind, page).await?;
    let data: Vec<_> = found.rows.iter().map(ContactData::from).collect();
    let message = format!("{}s retrieved successfully", kind.title());
    Ok(Reply::list(&message, &data, Meta::new(page, data.len(), found.next))?)
}

fn created(contact: &Contact) -> Result<Answer, serde_json::Error> {
    let title = contact.kind.title();
    let location = format!("/api/{}s/{}", contact.kind.as_str(), contact.id);
    let reply =
        Reply::created(&format!("{title} created successfully"), &ContactData::from(contact), location)?;
    Ok(reply.version(contact.version).0)
}

fn found(contact: &Contact) -> Result<Answer, serde_json::Error> {
    said(contact, "retrieved")
}

fn updated(contact: &Contact) -> Result<Answer, serde_json::Error> {
    said(contact, "updated")
}

fn deleted(contact: &Contact) -> Result<Answer, serde_json::Error> {
    said(contact, "deleted")
}

fn said(contact: &Contact, what: &str) -> Result<Answer, serde_json::Error> {
    let message = format!("{} {what} successfully", contact.kind.title());
    Ok(Reply::ok(&message, &ContactData::from(contact))?.version(contact.version).0)
}
