//! Routes and handlers.

use std::sync::Arc;

use axum::extract::State;
use erp_domain::contact::Party;
use erp_domain::order::{Order, OrderKind, Status, Transition};
use erp_domain::{Id, Money, Timestamp};
use erp_http::{
    Body, Fields, FinanceManager, FromBody, Idempotency, IfMatch, ListQuery, Manager, PathId, Problem, Reply,
    RequestInfo, openapi,
};
use erp_orders::Orders;
use erp_orders::api::{self, Nothing, OrderEvent, OrderItem, OrderItemRequest};
use erp_orders::ports::Summary;
use erp_orders::pricing::Wanted;
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What a client says of a purchase order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what Form is read from")]
struct PurchaseOrderRequest {
    /// Who sells.
    vendor_id: uuid::Uuid,
    /// 1 to 99 lines; they keep their order.
    #[schema(min_items = 1, max_items = 99)]
    items: Vec<OrderItemRequest>,
}

/// Where a purchase order stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the statuses that OrderKind::Purchase has")]
enum PurchaseOrderStatus {
    Draft,
    Received,
    Paid,
    Cancelled,
}

/// A purchase order without its lines.
#[derive(Serialize, ToSchema)]
struct PurchaseOrder {
    #[schema(value_type = uuid::Uuid)]
    id: Id<Order>,
    #[schema(value_type = uuid::Uuid)]
    vendor_id: Id<Party>,
    #[schema(value_type = PurchaseOrderStatus)]
    status: Status,
    #[schema(value_type = f64, example = 1800000.00)]
    total_amount: Money,
    /// ISO 4217 code.
    #[schema(example = "USD")]
    currency: String,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Summary> for PurchaseOrder {
    fn from(order: Summary) -> Self {
        Self {
            id: order.id,
            vendor_id: order.party_id,
            status: order.status,
            total_amount: order.total,
            currency: order.currency,
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// A purchase order with its lines.
#[derive(Serialize, ToSchema)]
struct PurchaseOrderData {
    order: PurchaseOrder,
    items: Vec<OrderItem>,
}

impl From<&Order> for PurchaseOrderData {
    fn from(order: &Order) -> Self {
        Self { order: Summary::from(order).into(), items: OrderItem::all(order) }
    }
}

struct Form(Wanted);

impl FromBody for Form {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        api::wanted(fields, OrderKind::Purchase).map(Self)
    }
}

/// Which purchase orders to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what erp_orders::api::filter reads")]
struct PurchaseOrderFilter {
    /// Only those that stand there.
    status: Option<PurchaseOrderStatus>,
    /// Only those of this vendor.
    vendor_id: Option<uuid::Uuid>,
}

type Service = State<Arc<Orders>>;

/// The routes, with their description.
pub fn router(orders: Orders) -> OpenApiRouter {
    routes().with_state(Arc::new(orders))
}

/// The description of the routes.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Orders>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list_purchase_orders, create_purchase_order))
        .routes(routes!(get_purchase_order, update_purchase_order))
        .routes(routes!(receive_purchase_order))
        .routes(routes!(pay_purchase_order))
        .routes(routes!(cancel_purchase_order))
        .routes(routes!(list_purchase_order_events))
}

/// Lists the purchase orders, newest first, without their lines.
#[utoipa::path(get, path = "/api/purchase/orders", tag = "purchase orders", params(openapi::ListParams, PurchaseOrderFilter), responses((status = 200, body = [PurchaseOrder])))]
async fn list_purchase_orders(
    _: Manager,
    State(orders): Service,
    query: ListQuery,
) -> Result<Reply, Problem> {
    let (filter, page) = api::filter(query, OrderKind::Purchase)?;
    api::listed::<PurchaseOrder>(OrderKind::Purchase, page, orders.list(filter, page).await?)
}

/// Creates a purchase order as a draft.
#[utoipa::path(post, path = "/api/purchase/orders", tag = "purchase orders", request_body = PurchaseOrderRequest, responses((status = 201, body = PurchaseOrderData)))]
async fn create_purchase_order(
    _: Manager,
    State(orders): Service,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(wanted) = body.read()?;
    Ok(orders.create(wanted, info.write(key, api::created::<PurchaseOrderData>)).await?.into())
}

/// Gives a purchase order.
#[utoipa::path(get, path = "/api/purchase/orders/{id}", tag = "purchase orders", params(openapi::IdParam), responses((status = 200, body = PurchaseOrderData)))]
async fn get_purchase_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
) -> Result<Reply, Problem> {
    Ok(api::found::<PurchaseOrderData>(&orders.get(id).await?)?.into())
}

/// Changes a draft: all of it, its lines included.
#[utoipa::path(put, path = "/api/purchase/orders/{id}", tag = "purchase orders", params(openapi::IdParam), request_body = PurchaseOrderRequest, responses((status = 200, body = PurchaseOrderData)))]
async fn update_purchase_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(wanted) = body.read()?;
    let write = info.write(key, api::updated::<PurchaseOrderData>);
    Ok(orders.update(id, wanted, &expect, write).await?.into())
}

/// Notes that what was ordered has arrived: every line is added to stock a moment later.
#[utoipa::path(post, path = "/api/purchase/orders/{id}/receive", tag = "purchase orders", params(openapi::IdParam), responses((status = 200, body = PurchaseOrderData)))]
async fn receive_purchase_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Nothing = body.read_or_default()?;
    let write = api::advancing::<PurchaseOrderData>(&info, key);
    Ok(orders.advance(id, Transition::Receive.into(), &expect, write).await?.into())
}

/// Marks a received purchase order as paid.
#[utoipa::path(post, path = "/api/purchase/orders/{id}/pay", tag = "purchase orders", params(openapi::IdParam), responses((status = 200, body = PurchaseOrderData)))]
async fn pay_purchase_order(
    _: FinanceManager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Nothing = body.read_or_default()?;
    let write = api::advancing::<PurchaseOrderData>(&info, key);
    Ok(orders.advance(id, Transition::Pay.into(), &expect, write).await?.into())
}

/// Cancels a draft.
#[utoipa::path(post, path = "/api/purchase/orders/{id}/cancel", tag = "purchase orders", params(openapi::IdParam), responses((status = 200, body = PurchaseOrderData)))]
async fn cancel_purchase_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Nothing = body.read_or_default()?;
    let write = api::advancing::<PurchaseOrderData>(&info, key);
    Ok(orders.advance(id, Transition::Cancel.into(), &expect, write).await?.into())
}

/// Lists what happened to a purchase order since it was a draft, oldest first.
#[utoipa::path(get, path = "/api/purchase/orders/{id}/events", tag = "purchase orders", params(openapi::IdParam, openapi::ListParams), responses((status = 200, body = [OrderEvent])))]
async fn list_purchase_order_events(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    query: ListQuery,
) -> Result<Reply, Problem> {
    let page = query.finish()?;
    api::history(OrderKind::Purchase, page, &orders.history(id).await?)
}
