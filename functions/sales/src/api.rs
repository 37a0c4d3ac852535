//! Routes and handlers.

use std::sync::Arc;

use axum::extract::State;
use erp_domain::contact::Party;
use erp_domain::order::{Order, OrderKind, Status, StockStatus, Transition};
use erp_domain::{Id, Money, Timestamp};
use erp_http::{
    Body, Fields, FinanceManager, FromBody, Idempotency, IfMatch, ListQuery, Manager, PathId, Problem, Reply,
    RequestInfo, openapi,
};
use erp_orders::Orders;
use erp_orders::api::{self, ConfirmRequest, Nothing, OrderEvent, OrderItem, OrderItemRequest};
use erp_orders::ports::Summary;
use erp_orders::pricing::Wanted;
use erp_orders::service::Command;
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What a client says of a sales order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what Form is read from")]
struct SalesOrderRequest {
    /// Who buys.
    customer_id: uuid::Uuid,
    /// 1 to 99 lines; they keep their order.
    #[schema(min_items = 1, max_items = 99)]
    items: Vec<OrderItemRequest>,
}

/// Where a sales order stands.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the statuses that OrderKind::Sales has")]
enum SalesOrderStatus {
    Draft,
    Confirmed,
    Paid,
    Cancelled,
}

/// What inventory says of a sales order, a moment after the order's own status.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes erp_domain::order::StockStatus")]
enum SalesOrderStockStatus {
    None,
    Pending,
    Allocated,
    Backordered,
    Released,
}

/// A sales order without its lines.
#[derive(Serialize, ToSchema)]
struct SalesOrder {
    #[schema(value_type = uuid::Uuid)]
    id: Id<Order>,
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id<Party>,
    #[schema(value_type = SalesOrderStatus)]
    status: Status,
    #[schema(value_type = SalesOrderStockStatus)]
    stock_status: StockStatus,
    #[schema(value_type = f64, example = 1800000.00)]
    total_amount: Money,
    /// ISO 4217 code.
    #[schema(example = "USD")]
    currency: String,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When a client last changed it; what inventory says does not count.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Summary> for SalesOrder {
    fn from(order: Summary) -> Self {
        Self {
            id: order.id,
            customer_id: order.party_id,
            status: order.status,
            stock_status: order.stock_status,
            total_amount: order.total,
            currency: order.currency,
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// A sales order with its lines.
#[derive(Serialize, ToSchema)]
struct SalesOrderData {
    order: SalesOrder,
    items: Vec<OrderItem>,
}

impl From<&Order> for SalesOrderData {
    fn from(order: &Order) -> Self {
        Self { order: Summary::from(order).into(), items: OrderItem::all(order) }
    }
}

struct Form(Wanted);

impl FromBody for Form {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        api::wanted(fields, OrderKind::Sales).map(Self)
    }
}

/// Which sales orders to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what erp_orders::api::filter reads")]
struct SalesOrderFilter {
    /// Only those that stand there.
    status: Option<SalesOrderStatus>,
    /// Only those of this customer.
    customer_id: Option<uuid::Uuid>,
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
        .routes(routes!(list_sales_orders, create_sales_order))
        .routes(routes!(get_sales_order, update_sales_order))
        .routes(routes!(confirm_sales_order))
        .routes(routes!(pay_sales_order))
        .routes(routes!(cancel_sales_order))
        .routes(routes!(list_sales_order_events))
}

/// Lists the sales orders, newest first, without their lines.
#[utoipa::path(get, path = "/api/sales/orders", tag = "sales orders", params(openapi::ListParams, SalesOrderFilter), responses((status = 200, body = [SalesOrder])))]
async fn list_sales_orders(_: Manager, State(orders): Service, query: ListQuery) -> Result<Reply, Problem> {
    let (filter, page) = api::filter(query, OrderKind::Sales)?;
    api::listed::<SalesOrder>(OrderKind::Sales, page, orders.list(filter, page).await?)
}

/// Creates a sales order as a draft.
#[utoipa::path(post, path = "/api/sales/orders", tag = "sales orders", request_body = SalesOrderRequest, responses((status = 201, body = SalesOrderData)))]
async fn create_sales_order(
    _: Manager,
    State(orders): Service,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(wanted) = body.read()?;
    Ok(orders.create(wanted, info.write(key, api::created::<SalesOrderData>)).await?.into())
}

/// Gives a sales order.
#[utoipa::path(get, path = "/api/sales/orders/{id}", tag = "sales orders", params(openapi::IdParam), responses((status = 200, body = SalesOrderData)))]
async fn get_sales_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
) -> Result<Reply, Problem> {
    Ok(api::found::<SalesOrderData>(&orders.get(id).await?)?.into())
}

/// Changes a draft: all of it, its lines included.
#[utoipa::path(put, path = "/api/sales/orders/{id}", tag = "sales orders", params(openapi::IdParam), request_body = SalesOrderRequest, responses((status = 200, body = SalesOrderData)))]
async fn update_sales_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Form(wanted) = body.read()?;
    let write = info.write(key, api::updated::<SalesOrderData>);
    Ok(orders.update(id, wanted, &expect, write).await?.into())
}

/// Makes a draft binding: stock is taken a moment later, or waited for. See `stock_status`.
#[utoipa::path(post, path = "/api/sales/orders/{id}/confirm", tag = "sales orders", params(openapi::IdParam), request_body = Option<ConfirmRequest>, responses((status = 200, body = SalesOrderData)))]
async fn confirm_sales_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let ConfirmRequest { require_stock } = body.read_or_default()?;
    let command = Command { transition: Transition::Confirm, require_stock };
    Ok(orders.advance(id, command, &expect, api::advancing::<SalesOrderData>(&info, key)).await?.into())
}

/// Marks a confirmed sales order as paid.
#[utoipa::path(post, path = "/api/sales/orders/{id}/pay", tag = "sales orders", params(openapi::IdParam), responses((status = 200, body = SalesOrderData)))]
async fn pay_sales_order(
    _: FinanceManager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Nothing = body.read_or_default()?;
    let write = api::advancing::<SalesOrderData>(&info, key);
    Ok(orders.advance(id, Transition::Pay.into(), &expect, write).await?.into())
}

/// Cancels a draft or a confirmed sales order; what it holds goes back to stock a moment later.
#[utoipa::path(post, path = "/api/sales/orders/{id}/cancel", tag = "sales orders", params(openapi::IdParam), responses((status = 200, body = SalesOrderData)))]
async fn cancel_sales_order(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let Nothing = body.read_or_default()?;
    let write = api::advancing::<SalesOrderData>(&info, key);
    Ok(orders.advance(id, Transition::Cancel.into(), &expect, write).await?.into())
}

/// Lists what happened to a sales order since it was a draft, oldest first: its transitions, and what inventory
/// decided.
#[utoipa::path(get, path = "/api/sales/orders/{id}/events", tag = "sales orders", params(openapi::IdParam, openapi::ListParams), responses((status = 200, body = [OrderEvent])))]
async fn list_sales_order_events(
    _: Manager,
    State(orders): Service,
    PathId(id): PathId<Order>,
    query: ListQuery,
) -> Result<Reply, Problem> {
    let page = query.finish()?;
    api::history(OrderKind::Sales, page, &orders.history(id).await?)
}
