-- ReceiveStripeEvent: a chargeback (messages: 8, statements: 13)
-- 1
BEGIN;
INSERT INTO provider_events (id, taken_at) VALUES ($1, app_now()) ON CONFLICT DO NOTHING RETURNING id;
-- 2
SELECT (SELECT id FROM orders WHERE payment_reference = $1 AND payment_reference <> '') AS id, EXISTS (SELECT FROM attempts WHERE kind = 'capture' AND reference = $1 AND reference <> '') AS is_being_placed;
-- 3
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, has_lines FROM orders WHERE id = $1 FOR UPDATE) SELECT *, CASE WHEN locked.has_lines THEN ( SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position) FROM order_lines WHERE order_id = locked.id ) END AS lines , app_now() AS now FROM locked;
-- 4
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 5
SELECT id, order_id, amount, state, provider_id FROM refunds WHERE order_id = $1 ORDER BY created_at, id;
-- 6
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 7
INSERT INTO provider_fees (id, order_id, amount, reported_at) VALUES ($1, $2, $3, app_now()) ON CONFLICT DO NOTHING;
INSERT INTO chargebacks (id, order_id, amount, state, evidence_due_by, reported_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, state = excluded.state, evidence_due_by = excluded.evidence_due_by;
SELECT coalesce(sum(amount), 0) AS amount FROM provider_fees WHERE order_id = $1;
-- 8
WITH changed AS ( UPDATE orders SET version = new.version, status = new.status, buyer_id = new.buyer_id, seller_id = new.seller_id, gig_id = new.gig_id, gig_title = new.gig_title, package_id = new.package_id, package_title = new.package_title, price = new.price, currency = new.currency, delivery_days = new.delivery_days, revisions_left = new.revisions_left, requirements = new.requirements, payment_method = new.payment_method, due_at = new.due_at, first_delivered_at = new.first_delivered_at, last_delivered_at = new.last_delivered_at, created_at = new.created_at, updated_at = new.updated_at, payment_status = new.payment_status, payment_reference = new.payment_reference, capture_before = new.capture_before, refund_due = new.refund_due, refunded = new.refunded, charged_back = new.charged_back, commission_percent = new.commission_percent, platform_refund = new.platform_refund, fees = new.fees, postings = new.postings, chargeback_amount = new.chargeback_amount, chargeback_state = new.chargeback_state, evidence_due_by = new.evidence_due_by, reminded_of = new.reminded_of, extension_days = new.extension_days, extension_message = new.extension_message, extension_at = new.extension_at, extended_days = new.extended_days, offer_id = new.offer_id FROM jsonb_populate_record(NULL::orders, $1::jsonb) AS new WHERE orders.id = ($1::jsonb ->> 'id')::uuid RETURNING orders.id, orders.version, orders.buyer_id, orders.seller_id ), history AS ( INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) SELECT id, version, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM changed ), event AS ( INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) SELECT $2, $4, $3, id, version, buyer_id, seller_id, $1::jsonb FROM changed ) SELECT add_webhook_deliveries($2, $3, buyer_id, seller_id) FROM changed;
WITH transaction AS ( INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id ), line AS ( SELECT place, owner, amount, kind, CASE WHEN owner IS NULL THEN (SELECT id FROM ledger_accounts WHERE owner IS NULL AND name = account) ELSE (SELECT id FROM ledger_accounts WHERE owner = line.owner AND name = account) END AS account_id FROM unnest($7::uuid[], $8::text[], $9::numeric[], $10::text[]) WITH ORDINALITY AS line (owner, account, amount, kind, place) ), numbered AS ( SELECT line.*, coalesce(last.number, 0) + row_number() OVER so_far AS number, coalesce(last.balance, 0) + sum(amount) OVER so_far AS balance FROM line LEFT JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE line.owner IS NOT NULL AND account_id = line.account_id ORDER BY number DESC LIMIT 1 ) AS last ON true WINDOW so_far AS (PARTITION BY line.account_id ORDER BY place) ) INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) SELECT transaction.id, account_id, amount, kind, CASE WHEN owner IS NOT NULL THEN number END, CASE WHEN owner IS NOT NULL THEN balance - amount END, CASE WHEN owner IS NOT NULL THEN balance END FROM transaction, numbered ORDER BY place;
COMMIT;

-- ReceiveStripeEvent: a known event (messages: 2, statements: 3)
-- 1
BEGIN;
INSERT INTO provider_events (id, taken_at) VALUES ($1, app_now()) ON CONFLICT DO NOTHING RETURNING id;
-- 2
COMMIT;

-- ReceiveStripeEvent: its end (messages: 8, statements: 13)
-- 1
BEGIN;
INSERT INTO provider_events (id, taken_at) VALUES ($1, app_now()) ON CONFLICT DO NOTHING RETURNING id;
-- 2
SELECT (SELECT id FROM orders WHERE payment_reference = $1 AND payment_reference <> '') AS id, EXISTS (SELECT FROM attempts WHERE kind = 'capture' AND reference = $1 AND reference <> '') AS is_being_placed;
-- 3
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, has_lines FROM orders WHERE id = $1 FOR UPDATE) SELECT *, CASE WHEN locked.has_lines THEN ( SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position) FROM order_lines WHERE order_id = locked.id ) END AS lines , app_now() AS now FROM locked;
-- 4
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 5
SELECT id, order_id, amount, state, provider_id FROM refunds WHERE order_id = $1 ORDER BY created_at, id;
-- 6
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 7
INSERT INTO provider_fees (id, order_id, amount, reported_at) VALUES ($1, $2, $3, app_now()) ON CONFLICT DO NOTHING;
INSERT INTO chargebacks (id, order_id, amount, state, evidence_due_by, reported_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, state = excluded.state, evidence_due_by = excluded.evidence_due_by;
SELECT coalesce(sum(amount), 0) AS amount FROM provider_fees WHERE order_id = $1;
-- 8
UPDATE orders SET version = new.version, status = new.status, buyer_id = new.buyer_id, seller_id = new.seller_id, gig_id = new.gig_id, gig_title = new.gig_title, package_id = new.package_id, package_title = new.package_title, price = new.price, currency = new.currency, delivery_days = new.delivery_days, revisions_left = new.revisions_left, requirements = new.requirements, payment_method = new.payment_method, due_at = new.due_at, first_delivered_at = new.first_delivered_at, last_delivered_at = new.last_delivered_at, created_at = new.created_at, updated_at = new.updated_at, payment_status = new.payment_status, payment_reference = new.payment_reference, capture_before = new.capture_before, refund_due = new.refund_due, refunded = new.refunded, charged_back = new.charged_back, commission_percent = new.commission_percent, platform_refund = new.platform_refund, fees = new.fees, postings = new.postings, chargeback_amount = new.chargeback_amount, chargeback_state = new.chargeback_state, evidence_due_by = new.evidence_due_by, reminded_of = new.reminded_of, extension_days = new.extension_days, extension_message = new.extension_message, extension_at = new.extension_at, extended_days = new.extended_days, offer_id = new.offer_id FROM jsonb_populate_record(NULL::orders, $1::jsonb) AS new WHERE orders.id = ($1::jsonb ->> 'id')::uuid;
WITH transaction AS ( INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id ), line AS ( SELECT place, owner, amount, kind, CASE WHEN owner IS NULL THEN (SELECT id FROM ledger_accounts WHERE owner IS NULL AND name = account) ELSE (SELECT id FROM ledger_accounts WHERE owner = line.owner AND name = account) END AS account_id FROM unnest($7::uuid[], $8::text[], $9::numeric[], $10::text[]) WITH ORDINALITY AS line (owner, account, amount, kind, place) ), numbered AS ( SELECT line.*, coalesce(last.number, 0) + row_number() OVER so_far AS number, coalesce(last.balance, 0) + sum(amount) OVER so_far AS balance FROM line LEFT JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE line.owner IS NOT NULL AND account_id = line.account_id ORDER BY number DESC LIMIT 1 ) AS last ON true WINDOW so_far AS (PARTITION BY line.account_id ORDER BY place) ) INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) SELECT transaction.id, account_id, amount, kind, CASE WHEN owner IS NOT NULL THEN number END, CASE WHEN owner IS NOT NULL THEN balance - amount END, CASE WHEN owner IS NOT NULL THEN balance END FROM transaction, numbered ORDER BY place;
COMMIT;

-- ReceiveStripeEvent: of no interest (messages: 0, statements: 0)
