//! Routes and handlers. Customers and vendors have the same operations.

use axum::extract::State;
use erp_domain::id::Party;
use erp_domain::text::{multi_line, single_line};
use erp_domain::{EmailAddress, PartyId, PartyKind};
use erp_http::{
    Fields, FinanceManager, FromBody, IfMatch, JsonRequest, ListQuery, Manager, PageParams, PathId, Problem,
    ProblemKind, Reader, Reply, RequestInfo, openapi, reply,
};
use erp_service::{Committer, Precondition, StoredResponse, WriteRequest};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::{Contact, ContactData, ContactDetails, ContactError};
use crate::service::Contacts;

/// The state of the handlers.
#[derive(Clone)]
struct Api {
    contacts: Contacts,
    committer: Committer,
}

impl FromBody for ContactDetails {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.text("name", |text| single_line(text, 1, 255));
        let email = fields.text("email", EmailAddress::parse);
        let phone = fields.optional_text("phone", |text| single_line(text, 0, 50));
        let address = fields.optional_text("address", |text| multi_line(text, 0, 500));
        let (phone, address) = (phone?.unwrap_or_default(), address?.unwrap_or_default());
        Some(Self { name: name?, email: email?, phone, address })
    }
}

impl From<ContactError> for Problem {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::NotFound(kind) => Self::not_found(kind.title()),
            ContactError::EmailTaken(kind) => {
                let detail = format!("Another {kind} has this e-mail address.");
                Self::new(ProblemKind::DuplicateEmail, detail).at("/email", "is taken")
            }
            ContactError::VersionMismatch(current) => Self::version_mismatch(current),
        }
    }
}

type Service = State<Api>;

/// Returns the routes with their documentation.
pub fn router(contacts: Contacts, committer: Committer) -> OpenApiRouter {
    routes().with_state(Api { contacts, committer })
}

/// Returns the documentation of the routes.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list_customers, create_customer))
        .routes(routes!(get_customer, update_customer, delete_customer))
        .routes(routes!(list_vendors, create_vendor))
        .routes(routes!(get_vendor, update_vendor, delete_vendor))
}

/// List customers, newest first.
#[utoipa::path(get, path = "/api/customers", tag = "customers", params(PageParams),
    responses((status = 200, body = [ContactData])))]
async fn list_customers(_: Reader, State(api): Service, query: ListQuery) -> Result<Reply, Problem> {
    api.list(PartyKind::Customer, query).await
}

/// Create a customer.
#[utoipa::path(post, path = "/api/customers", tag = "customers", request_body = ContactDetails,
    responses((status = 201, body = ContactData)))]
async fn create_customer(_: Manager, State(api): Service, request: JsonRequest) -> Result<Reply, Problem> {
    api.create(PartyKind::Customer, &request).await
}

/// Get a customer.
#[utoipa::path(get, path = "/api/customers/{id}", tag = "customers", params(PathId<Party>),
    responses((status = 200, body = ContactData)))]
async fn get_customer(_: Reader, State(api): Service, PathId(id): PathId<Party>) -> Result<Reply, Problem> {
    api.get(PartyKind::Customer, id).await
}

/// Update a customer.
#[utoipa::path(put, path = "/api/customers/{id}", tag = "customers", params(PathId<Party>),
    request_body = ContactDetails, responses((status = 200, body = ContactData)))]
async fn update_customer(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Party>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    api.update(PartyKind::Customer, id, &precondition, &request).await
}

/// Delete a customer.
///
/// The e-mail address can be used again. Orders of the customer stay.
#[utoipa::path(delete, path = "/api/customers/{id}", tag = "customers", params(PathId<Party>),
    responses((status = 200, body = ContactData)))]
async fn delete_customer(
    _: FinanceManager,
    State(api): Service,
    PathId(id): PathId<Party>,
    IfMatch(precondition): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    api.delete(PartyKind::Customer, id, &precondition, &info).await
}

/// List vendors, newest first.
#[utoipa::path(get, path = "/api/vendors", tag = "vendors", params(PageParams),
    responses((status = 200, body = [ContactData])))]
async fn list_vendors(_: Reader, State(api): Service, query: ListQuery) -> Result<Reply, Problem> {
    api.list(PartyKind::Vendor, query).await
}

/// Create a vendor.
#[utoipa::path(post, path = "/api/vendors", tag = "vendors", request_body = ContactDetails,
    responses((status = 201, body = ContactData)))]
async fn create_vendor(_: Manager, State(api): Service, request: JsonRequest) -> Result<Reply, Problem> {
    api.create(PartyKind::Vendor, &request).await
}

/// Get a vendor.
#[utoipa::path(get, path = "/api/vendors/{id}", tag = "vendors", params(PathId<Party>),
    responses((status = 200, body = ContactData)))]
async fn get_vendor(_: Reader, State(api): Service, PathId(id): PathId<Party>) -> Result<Reply, Problem> {
    api.get(PartyKind::Vendor, id).await
}

/// Update a vendor.
#[utoipa::path(put, path = "/api/vendors/{id}", tag = "vendors", params(PathId<Party>),
    request_body = ContactDetails, responses((status = 200, body = ContactData)))]
async fn update_vendor(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Party>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    api.update(PartyKind::Vendor, id, &precondition, &request).await
}

/// Delete a vendor.
///
/// The e-mail address can be used again. Orders to the vendor stay.
#[utoipa::path(delete, path = "/api/vendors/{id}", tag = "vendors", params(PathId<Party>),
    responses((status = 200, body = ContactData)))]
async fn delete_vendor(
    _: FinanceManager,
    State(api): Service,
    PathId(id): PathId<Party>,
    IfMatch(precondition): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    api.delete(PartyKind::Vendor, id, &precondition, &info).await
}

impl Api {
    async fn list(&self, kind: PartyKind, query: ListQuery) -> Result<Reply, Problem> {
        let page = query.finish()?;
        let contacts = self.contacts.store.list(kind, page.request).await?;
        page.reply(&format!("{}s retrieved successfully", kind.title()), &contacts)
    }

    async fn create(&self, kind: PartyKind, request: &JsonRequest) -> Result<Reply, Problem> {
        let details: ContactDetails = request.read()?;
        let decide = || self.contacts.create(kind, details.clone(), &request.write.cause);
        Ok(self.committer.commit(&request.write, decide, created).await?.into())
    }

    async fn get(&self, kind: PartyKind, id: PartyId) -> Result<Reply, Problem> {
        Ok(resource(&self.contacts.get(kind, id).await?, "retrieved")?.into())
    }

    async fn update(
        &self,
        kind: PartyKind,
        id: PartyId,
        precondition: &Precondition,
        request: &JsonRequest,
    ) -> Result<Reply, Problem> {
        let details: ContactDetails = request.read()?;
        let decide = || self.contacts.update(kind, id, details.clone(), precondition, &request.write.cause);
        let render = |contact: &Contact| resource(contact, "updated");
        Ok(self.committer.commit(&request.write, decide, render).await?.into())
    }

    async fn delete(
        &self,
        kind: PartyKind,
        id: PartyId,
        precondition: &Precondition,
        info: &RequestInfo,
    ) -> Result<Reply, Problem> {
        let write = WriteRequest { cause: info.cause(), key: None };
        let decide = || self.contacts.delete(kind, id, precondition, &write.cause);
        let render = |contact: &Contact| resource(contact, "deleted");
        Ok(self.committer.commit(&write, decide, render).await?.into())
    }
}

fn created(contact: &Contact) -> Result<StoredResponse, serde_json::Error> {
    let kind = contact.kind();
    let message = format!("{} created successfully", kind.title());
    let location = format!("/api/{kind}s/{}", contact.id());
    reply::created(&message, contact, contact.version(), location)
}

fn resource(contact: &Contact, verb: &str) -> Result<StoredResponse, serde_json::Error> {
    let message = format!("{} {verb} successfully", contact.kind().title());
    reply::resource(&message, contact, contact.version())
}
