-- Written by `make generate` from the protos; do not edit.
-- The fields of each message of a JSON body, by the message's full name.
return {
  ["marketplace.gig.v1.CreateGigRequest"] = {
    ["title"] = { kind = "string" },
    ["description"] = { kind = "string" },
    ["categoryId"] = { kind = "string" },
    ["tags"] = { kind = "list", item = { kind = "string" } },
    ["packages"] = { kind = "list", item = { kind = "object", message = "marketplace.gig.v1.PackageInput" } },
  },
  ["marketplace.gig.v1.UpdateGigRequest"] = {
    ["gigId"] = { kind = "string" },
    ["title"] = { kind = "string" },
    ["description"] = { kind = "string" },
    ["categoryId"] = { kind = "string" },
    ["tags"] = { kind = "list", item = { kind = "string" } },
  },
  ["marketplace.gig.v1.SetGigStatusRequest"] = {
    ["gigId"] = { kind = "string" },
    ["status"] = { kind = "enum", values = { ACTIVE = true, PAUSED = true, SUSPENDED = true }, expected = "ACTIVE, PAUSED, SUSPENDED" },
  },
  ["marketplace.gig.v1.AddPackageRequest"] = {
    ["gigId"] = { kind = "string" },
    ["title"] = { kind = "string" },
    ["description"] = { kind = "string" },
    ["price"] = { kind = "number" },
    ["deliveryDays"] = { kind = "int" },
    ["features"] = { kind = "list", item = { kind = "string" } },
    ["revisions"] = { kind = "int" },
  },
  ["marketplace.gig.v1.UpdatePackageRequest"] = {
    ["gigId"] = { kind = "string" },
    ["packageId"] = { kind = "string" },
    ["title"] = { kind = "string" },
    ["description"] = { kind = "string" },
    ["price"] = { kind = "number" },
    ["deliveryDays"] = { kind = "int" },
    ["features"] = { kind = "list", item = { kind = "string" } },
    ["revisions"] = { kind = "int" },
  },
  ["marketplace.gig.v1.UpdateImageRequest"] = {
    ["gigId"] = { kind = "string" },
    ["imageId"] = { kind = "string" },
    ["isPrimary"] = { kind = "bool" },
  },
  ["marketplace.order.v1.PlaceOrderRequest"] = {
    ["packageId"] = { kind = "string" },
    ["requirements"] = { kind = "string" },
    ["paymentMethod"] = { kind = "string" },
    ["paymentToken"] = { kind = "string" },
    ["expectedPrice"] = { kind = "number" },
  },
  ["marketplace.order.v1.AcceptOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.DeclineOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.CancelOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.DeliverOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.ReviseOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.CompleteOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.DisputeOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.ResolveOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["outcome"] = { kind = "enum", values = { COMPLETED = true, CANCELLED = true }, expected = "COMPLETED, CANCELLED" },
    ["refundAmount"] = { kind = "number" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.order.v1.RefundOrderRequest"] = {
    ["orderId"] = { kind = "string" },
    ["amount"] = { kind = "number" },
    ["message"] = { kind = "string" },
    ["from"] = { kind = "string" },
  },
  ["marketplace.order.v1.RequestPayoutRequest"] = {
    ["amount"] = { kind = "number" },
  },
  ["marketplace.order.v1.SetPayoutAccountRequest"] = {
    ["destination"] = { kind = "string" },
  },
  ["marketplace.order.v1.SetPayoutHoldRequest"] = {
    ["sellerId"] = { kind = "string" },
    ["reason"] = { kind = "string" },
  },
  ["marketplace.order.v1.AdjustBalanceRequest"] = {
    ["sellerId"] = { kind = "string" },
    ["amount"] = { kind = "number" },
    ["message"] = { kind = "string" },
  },
  ["marketplace.review.v1.SubmitReviewRequest"] = {
    ["orderId"] = { kind = "string" },
    ["rating"] = { kind = "int" },
    ["comment"] = { kind = "string" },
  },
  ["marketplace.gig.v1.PackageInput"] = {
    ["title"] = { kind = "string" },
    ["description"] = { kind = "string" },
    ["price"] = { kind = "number" },
    ["deliveryDays"] = { kind = "int" },
    ["features"] = { kind = "list", item = { kind = "string" } },
    ["revisions"] = { kind = "int" },
  },
}
