//! Routes and handlers.

use std::sync::Arc;

use axum::extract::State;
use erp_contracts::Event;
use erp_domain::id::Order;
use erp_domain::{PartyId, PartyKind};
use erp_http::{
    Fields, FinanceManager, FromBody, IfMatch, JsonRequest, ListQuery, Manager, PageParams, PathId, Problem,
    ProblemKind, Reply, openapi, reply,
};
use erp_orders::{LineInput, MAX_LINES, OrderInput, OrderItem, history, parse_name};
use erp_service::{Committer, StoredResponse};
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::{IllegalTransition, OrderSummary, PurchaseOrder, PurchaseOrderError, PurchaseStatus};
use crate::service::PurchaseOrders;

/// The content of a purchase order.
#[derive(ToSchema)]
struct PurchaseOrderRequest {
    /// The vendor.
    vendor_id: PartyId,
    /// The lines; they keep their order.
    #[schema(min_items = 1, max_items = 99)]
    items: Vec<LineInput>,
}

impl FromBody for PurchaseOrderRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let vendor_id = fields.text("vendor_id", str::parse);
        let items = fields.list("items", 1, MAX_LINES);
        Some(Self { vendor_id: vendor_id?, items: items? })
    }
}

impl From<PurchaseOrderRequest> for OrderInput {
    fn from(request: PurchaseOrderRequest) -> Self {
        Self { party_id: request.vendor_id, lines: request.items }
    }
}

/// A purchase order with its lines.
#[derive(Serialize, ToSchema)]
struct PurchaseOrderData<'a> {
    order: &'a OrderSummary,
    items: Vec<OrderItem>,
}

impl<'a> From<&'a PurchaseOrder> for PurchaseOrderData<'a> {
    fn from(order: &'a PurchaseOrder) -> Self {
        Self { order: order.summary(), items: OrderItem::all(order.id(), order.lines()) }
    }
}

/// The filters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct PurchaseOrderFilter {
    /// Only orders of this status.
    status: Option<PurchaseStatus>,
    /// Only orders of this vendor.
    vendor_id: Option<PartyId>,
}

/// What the handlers use.
pub struct Api {
    /// The use cases.
    pub orders: PurchaseOrders,
    /// Commits their changes.
    pub committer: Committer,
}

type Service = State<Arc<Api>>;

/// Returns the routes with their OpenAPI description.
pub fn router(api: Api) -> OpenApiRouter {
    routes().with_state(Arc::new(api))
}

/// Returns the OpenAPI description of the routes.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list_purchase_orders, create_purchase_order))
        .routes(routes!(get_purchase_order, update_purchase_order))
        .routes(routes!(receive_purchase_order))
        .routes(routes!(pay_purchase_order))
        .routes(routes!(cancel_purchase_order))
        .routes(routes!(list_purchase_order_events))
}

/// List purchase orders, newest first.
///
/// The list does not contain the lines.
#[utoipa::path(get, path = "/api/purchase/orders", tag = "purchase orders", params(PageParams, PurchaseOrderFilter), responses((status = 200, body = [OrderSummary])))]
async fn list_purchase_orders(
    _: Manager,
    State(api): Service,
    mut query: ListQuery,
) -> Result<Reply, Problem> {
    let filter = PurchaseOrderFilter {
        status: query.filter("status", parse_name),
        vendor_id: query.filter("vendor_id", str::parse),
    };
    let page = query.finish()?;
    let orders = api.orders.store.list(filter.status, filter.vendor_id, page.request).await?;
    page.reply("Purchase orders retrieved successfully", &orders)
}

/// Create a purchase order.
///
/// It is a draft until it is received.
#[utoipa::path(post, path = "/api/purchase/orders", tag = "purchase orders", request_body = PurchaseOrderRequest, responses((status = 201, body = PurchaseOrderData)))]
async fn create_purchase_order(
    _: Manager,
    State(api): Service,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let input = request.read::<PurchaseOrderRequest>()?.into();
    Ok(api.committer.commit(&request.write, || api.orders.create(&input), created).await?.into())
}

/// Get a purchase order.
#[utoipa::path(get, path = "/api/purchase/orders/{id}", tag = "purchase orders", params(PathId<Order>), responses((status = 200, body = PurchaseOrderData)))]
async fn get_purchase_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
) -> Result<Reply, Problem> {
    Ok(render("retrieved", &api.orders.get(id).await?)?.into())
}

/// Update a draft purchase order.
///
/// Vendor and lines are replaced.
#[utoipa::path(put, path = "/api/purchase/orders/{id}", tag = "purchase orders", params(PathId<Order>), request_body = PurchaseOrderRequest, responses((status = 200, body = PurchaseOrderData)))]
async fn update_purchase_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let input = request.read::<PurchaseOrderRequest>()?.into();
    let decide = || api.orders.update(id, &input, &precondition);
    Ok(api.committer.commit(&request.write, decide, |order| render("updated", order)).await?.into())
}

/// Receive a draft purchase order.
///
/// Inventory adds every line to the stock a moment later. 409 `party_gone` if the vendor was deleted.
#[utoipa::path(post, path = "/api/purchase/orders/{id}/receive", tag = "purchase orders", params(PathId<Order>), responses((status = 200, body = PurchaseOrderData)))]
async fn receive_purchase_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    request.expect_empty()?;
    let decide = || api.orders.receive(id, &precondition, &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, transitioned).await?.into())
}

/// Pay a received purchase order.
///
/// Records that the vendor was paid the total.
#[utoipa::path(post, path = "/api/purchase/orders/{id}/pay", tag = "purchase orders", params(PathId<Order>), responses((status = 200, body = PurchaseOrderData)))]
async fn pay_purchase_order(
    _: FinanceManager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    request.expect_empty()?;
    let decide = || api.orders.pay(id, &precondition, &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, transitioned).await?.into())
}

/// Cancel a draft purchase order.
#[utoipa::path(post, path = "/api/purchase/orders/{id}/cancel", tag = "purchase orders", params(PathId<Order>), responses((status = 200, body = PurchaseOrderData)))]
async fn cancel_purchase_order(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    request.expect_empty()?;
    let decide = || api.orders.cancel(id, &precondition, &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, transitioned).await?.into())
}

/// List the events of a purchase order, oldest first.
///
/// These are its transitions. A draft has none.
#[utoipa::path(get, path = "/api/purchase/orders/{id}/events", tag = "purchase orders", params(PathId<Order>, PageParams), responses((status = 200, body = [Event])))]
async fn list_purchase_order_events(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<Order>,
    query: ListQuery,
) -> Result<Reply, Problem> {
    let page = query.finish()?;
    let events = history::page(api.orders.history(id).await?, page.request);
    page.reply("Purchase order events retrieved successfully", &events)
}

fn created(order: &PurchaseOrder) -> Result<StoredResponse, serde_json::Error> {
    let location = format!("/api/purchase/orders/{}", order.id());
    let data = PurchaseOrderData::from(order);
    reply::created("Purchase order created successfully", &data, order.version(), location)
}

/// Renders an order after a transition, whose participle is the name of the new status.
fn transitioned(order: &PurchaseOrder) -> Result<StoredResponse, serde_json::Error> {
    render(order.status().into(), order)
}

fn render(participle: &str, order: &PurchaseOrder) -> Result<StoredResponse, serde_json::Error> {
    let message = format!("Purchase order {participle} successfully");
    reply::resource(&message, &PurchaseOrderData::from(order), order.version())
}

impl From<PurchaseOrderError> for Problem {
    fn from(error: PurchaseOrderError) -> Self {
        let illegal = |found: PurchaseStatus, rule: String| {
            let detail = format!("This purchase order is {found}; {rule}.");
            Self::new(ProblemKind::IllegalTransition, detail).with("status_found", json!(found))
        };
        match error {
            PurchaseOrderError::NotFound => Self::not_found("Purchase order"),
            PurchaseOrderError::Invalid(errors) => {
                Self::invalid(errors.into_iter().map(|error| error.field_error(PartyKind::Vendor)).collect())
            }
            PurchaseOrderError::IllegalTransition(IllegalTransition { found, transition }) => {
                illegal(found, format!("it cannot be {}", transition.target()))
            }
            PurchaseOrderError::NotADraft(found) => illegal(found, "only drafts can be changed".to_owned()),
            PurchaseOrderError::VendorGone(vendor_id) => {
                let detail = format!("The vendor {vendor_id} was deleted: change the draft or cancel it.");
                Self::new(ProblemKind::PartyGone, detail).with("vendor_id", json!(vendor_id))
            }
            PurchaseOrderError::VersionMismatch(found) => Self::version_mismatch(found),
        }
    }
}
