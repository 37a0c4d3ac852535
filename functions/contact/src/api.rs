//! Routes and handlers. Customers and vendors have the same operations.

use axum::extract::State;
use erp_domain::id::Party;
use erp_domain::{EmailAddress, PartyId, PartyKind, Timestamp};
use erp_http::{
    Fields, FinanceManager, FromBody, IfMatch, JsonRequest, ListQuery, Manager, PageParams, PathId, Problem,
    ProblemKind, Reader, Reply, RequestInfo, openapi, reply,
};
use erp_service::{Committer, Precondition, StoredResponse, WriteRequest};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::{Contact, ContactDetails, ContactError};
use crate::service::Contacts;

/// The state of the handlers.
#[derive(Clone)]
pub struct Api {
    /// The use cases.
    pub contacts: Contacts,
    /// Commits what they decide.
    pub committer: Committer,
}

/// The editable data of a customer or vendor. An update replaces all of it.
#[derive(ToSchema)]
struct ContactRequest {
    /// One line of text.
    #[schema(example = "Acme Ltd", min_length = 1, max_length = 255)]
    name: String,
    /// Unique among the customers, or among the vendors. Letter case does not count.
    email: EmailAddress,
    /// One line of text, empty by default.
    #[schema(example = "+1 555 0100", max_length = 50)]
    phone: Option<String>,
    /// Lines of text, empty by default.
    #[schema(example = "1 Main Street\nSpringfield", max_length = 500)]
    address: Option<String>,
}

impl FromBody for ContactRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.text("name", ContactDetails::parse_name);
        let email = fields.text("email", EmailAddress::parse);
        let phone = fields.optional_text("phone", ContactDetails::parse_phone);
        let address = fields.optional_text("address", ContactDetails::parse_address);
        Some(Self { name: name?, email: email?, phone: phone?, address: address? })
    }
}

impl From<ContactRequest> for ContactDetails {
    fn from(request: ContactRequest) -> Self {
        let ContactRequest { name, email, phone, address } = request;
        Self { name, email, phone: phone.unwrap_or_default(), address: address.unwrap_or_default() }
    }
}

/// A customer or vendor.
#[derive(Serialize, ToSchema)]
struct ContactData {
    id: PartyId,
    name: String,
    email: EmailAddress,
    phone: String,
    address: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Contact> for ContactData {
    fn from(contact: &Contact) -> Self {
        let ContactDetails { name, email, phone, address } = contact.details().clone();
        Self {
            id: contact.id(),
            name,
            email,
            phone,
            address,
            version: contact.version(),
            created_at: contact.created_at(),
            updated_at: contact.updated_at(),
        }
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

/// Returns the routes with their documentation.
pub fn router(api: Api) -> OpenApiRouter {
    routes().with_state(api)
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
async fn list_customers(_: Reader, State(api): State<Api>, query: ListQuery) -> Result<Reply, Problem> {
    api.list(PartyKind::Customer, query).await
}

/// Create a customer.
#[utoipa::path(post, path = "/api/customers", tag = "customers", request_body = ContactRequest,
    responses((status = 201, body = ContactData)))]
async fn create_customer(_: Manager, State(api): State<Api>, request: JsonRequest) -> Result<Reply, Problem> {
    api.create(PartyKind::Customer, &request).await
}

/// Get a customer.
#[utoipa::path(get, path = "/api/customers/{id}", tag = "customers", params(PathId<Party>),
    responses((status = 200, body = ContactData)))]
async fn get_customer(
    _: Reader,
    State(api): State<Api>,
    PathId(id): PathId<Party>,
) -> Result<Reply, Problem> {
    api.get(PartyKind::Customer, id).await
}

/// Update a customer.
#[utoipa::path(put, path = "/api/customers/{id}", tag = "customers", params(PathId<Party>),
    request_body = ContactRequest, responses((status = 200, body = ContactData)))]
async fn update_customer(
    _: Manager,
    State(api): State<Api>,
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
    State(api): State<Api>,
    PathId(id): PathId<Party>,
    IfMatch(precondition): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    api.delete(PartyKind::Customer, id, &precondition, &info).await
}

/// List vendors, newest first.
#[utoipa::path(get, path = "/api/vendors", tag = "vendors", params(PageParams),
    responses((status = 200, body = [ContactData])))]
async fn list_vendors(_: Reader, State(api): State<Api>, query: ListQuery) -> Result<Reply, Problem> {
    api.list(PartyKind::Vendor, query).await
}

/// Create a vendor.
#[utoipa::path(post, path = "/api/vendors", tag = "vendors", request_body = ContactRequest,
    responses((status = 201, body = ContactData)))]
async fn create_vendor(_: Manager, State(api): State<Api>, request: JsonRequest) -> Result<Reply, Problem> {
    api.create(PartyKind::Vendor, &request).await
}

/// Get a vendor.
#[utoipa::path(get, path = "/api/vendors/{id}", tag = "vendors", params(PathId<Party>),
    responses((status = 200, body = ContactData)))]
async fn get_vendor(_: Reader, State(api): State<Api>, PathId(id): PathId<Party>) -> Result<Reply, Problem> {
    api.get(PartyKind::Vendor, id).await
}

/// Update a vendor.
#[utoipa::path(put, path = "/api/vendors/{id}", tag = "vendors", params(PathId<Party>),
    request_body = ContactRequest, responses((status = 200, body = ContactData)))]
async fn update_vendor(
    _: Manager,
    State(api): State<Api>,
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
    State(api): State<Api>,
    PathId(id): PathId<Party>,
    IfMatch(precondition): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    api.delete(PartyKind::Vendor, id, &precondition, &info).await
}

impl Api {
    async fn list(&self, kind: PartyKind, query: ListQuery) -> Result<Reply, Problem> {
        let page = query.finish()?;
        let contacts = self.contacts.list(kind, page.request).await?;
        let rows = contacts.try_map(|contact| Ok::<_, Problem>(ContactData::from(&contact)))?;
        page.reply(&format!("{}s retrieved successfully", kind.title()), &rows)
    }

    async fn create(&self, kind: PartyKind, request: &JsonRequest) -> Result<Reply, Problem> {
        let details: ContactDetails = request.read::<ContactRequest>()?.into();
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
        let details: ContactDetails = request.read::<ContactRequest>()?.into();
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
    reply::created(&message, &ContactData::from(contact), contact.version(), location)
}

fn resource(contact: &Contact, verb: &str) -> Result<StoredResponse, serde_json::Error> {
    let message = format!("{} {verb} successfully", contact.kind().title());
    reply::resource(&message, &ContactData::from(contact), contact.version())
}
