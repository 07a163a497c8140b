-- AcceptOrder (messages: 28, statements: 43)
-- 1
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, (SELECT app_now()) AS now FROM orders WHERE id = $1;
-- 2
SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked;
-- 3
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 4
INSERT INTO attempts (order_id, kind, data, created_at, next_try_at) SELECT $1, $2, $3::jsonb, now, now FROM app_now() AS now RETURNING created_at;
-- 5
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
COMMIT;
-- 6
SELECT order_id, kind, data, created_at, tries, state, reference, confirm_before FROM attempts WHERE order_id = $1;
-- 7
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, (SELECT app_now()) AS now FROM orders WHERE id = $1;
-- 8
-- in the sandbox's database
BEGIN;
-- in the sandbox's database
SELECT order_id, reference, token, amount, state, held_until > app_now() AS is_held, client_secret FROM payments WHERE order_id = $1 FOR UPDATE;
-- 9
-- in the sandbox's database
UPDATE payments SET state = $2 WHERE order_id = $1;
-- 10
-- in the sandbox's database
INSERT INTO fees (id, order_id, amount) VALUES ($1, $2, $3);
-- 11
-- in the sandbox's database
SELECT id, amount FROM fees WHERE id = $1;
-- 12
-- in the sandbox's database
COMMIT;
-- 13
BEGIN;
DELETE FROM attempts WHERE order_id = $1 AND state <> 'giving_up' RETURNING app_now() AS now;
-- 14
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 15
SELECT id, order_id, amount, state, provider_id FROM refunds WHERE order_id = $1 ORDER BY created_at, id;
-- 16
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 17
INSERT INTO provider_fees (id, order_id, amount, reported_at) VALUES ($1, $2, $3, app_now()) ON CONFLICT DO NOTHING;
-- 18
SELECT id, order_id, amount, state, provider_id FROM refunds WHERE order_id = $1 ORDER BY created_at, id;
-- 19
SELECT id, order_id, amount, state, evidence_due_by, reported_at FROM chargebacks WHERE order_id = $1 ORDER BY reported_at, id;
-- 20
SELECT coalesce(sum(amount), 0) AS amount FROM provider_fees WHERE order_id = $1;
-- 21
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[]);
-- 22
SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = ANY ($1::uuid[]);
-- 23
INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id;
-- 24
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[]);
-- 25
SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = ANY ($1::uuid[]);
-- 26
INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id;
-- 27
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
COMMIT;
-- 28
SELECT pg_advisory_unlock(hashtextextended($1, 0));

-- AdjustBalance (messages: 11, statements: 21)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SAVEPOINT s;
SELECT EXISTS (SELECT FROM orders WHERE seller_id = $1) AS has_sold;
-- 4
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT account.name, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = $1;
-- 5
SELECT app_now() AS now;
-- 6
INSERT INTO adjustments (id, seller_id, admin_id, amount, at) VALUES ($1, $2, $3, $4, $5);
-- 7
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[]);
-- 8
SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = ANY ($1::uuid[]);
-- 9
INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id;
-- 10
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
SELECT entry.number, transaction.at, entry.kind, entry.amount, transaction.order_id, transaction.payout_id, transaction.message FROM ledger_entries AS entry JOIN ledger_transactions AS transaction ON transaction.id = entry.transaction_id WHERE entry.account_id = (SELECT id FROM ledger_accounts WHERE owner = $1 AND name = 'available') AND entry.number < $2 ORDER BY entry.number DESC LIMIT $3;
-- 11
RELEASE SAVEPOINT s;
UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3;
COMMIT;

-- CancelOrder (messages: 2, statements: 8)
-- 1
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
COMMIT;

-- CompleteOrder (messages: 5, statements: 17)
-- 1
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[]);
-- 3
SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = ANY ($1::uuid[]);
-- 4
INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id;
-- 5
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
COMMIT;

-- DeclineOrder (messages: 2, statements: 8)
-- 1
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
COMMIT;

-- DeliverOrder (messages: 2, statements: 7)
-- 1
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;

-- DescribeOrder (messages: 1, statements: 1)
-- 1
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, (SELECT app_now()) AS now FROM orders WHERE id = $1;

-- DisputeOrder (messages: 2, statements: 7)
-- 1
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;

-- GetBalance (messages: 1, statements: 1)
-- 1
SELECT account.name, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = $1;

-- GetOrder (messages: 1, statements: 1)
-- 1
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, (SELECT app_now()) AS now FROM orders WHERE id = $1;

-- GetPayout (messages: 1, statements: 1)
-- 1
SELECT id, seller_id, amount, currency, status, destination, created_at, reference, error, reversed, sent_at, refusals, EXISTS (SELECT FROM payout_holds WHERE payout_holds.seller_id = payouts.seller_id) AS is_held FROM payouts WHERE id = $1;

-- GetPayoutHold (messages: 1, statements: 1)
-- 1
SELECT reason, since FROM payout_holds WHERE seller_id = $1;

-- GetSellerBalance (messages: 1, statements: 1)
-- 1
SELECT account.name, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = $1;

-- ListBalanceEntries (messages: 1, statements: 1)
-- 1
SELECT entry.number, transaction.at, entry.kind, entry.amount, transaction.order_id, transaction.payout_id, transaction.message FROM ledger_entries AS entry JOIN ledger_transactions AS transaction ON transaction.id = entry.transaction_id WHERE entry.account_id = (SELECT id FROM ledger_accounts WHERE owner = $1 AND name = 'available') AND entry.number < $2 ORDER BY entry.number DESC LIMIT $3;

-- ListOrderEvents (messages: 2, statements: 2)
-- 1
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, (SELECT app_now()) AS now FROM orders WHERE id = $1;
-- 2
SELECT at, by, action, came_from, went_to, message, amount, paid_by, is_reminder FROM order_events WHERE order_id = $1 AND NOT is_reminder ORDER BY version;

-- ListOrders (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'PENDING' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'IN_PROGRESS' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'DELIVERED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'DISPUTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'COMPLETED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'CANCELLED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'PENDING' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'IN_PROGRESS' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'DELIVERED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'DISPUTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'COMPLETED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'CANCELLED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS orders ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- ListOrders: everyone's (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'PENDING' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'IN_PROGRESS' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'DELIVERED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'DISPUTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'COMPLETED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'CANCELLED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'PENDING' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'IN_PROGRESS' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'DELIVERED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'DISPUTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'COMPLETED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'CANCELLED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS orders ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- ListOrders: of a seller (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'PENDING' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'IN_PROGRESS' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'DELIVERED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'DISPUTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'COMPLETED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = 'CANCELLED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'PENDING' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'IN_PROGRESS' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'DELIVERED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'DISPUTED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'COMPLETED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = 'CANCELLED' AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS orders ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- ListOrders: of a status (messages: 1, statements: 1)
-- 1
SELECT *, (SELECT app_now()) AS now FROM (( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE buyer_id = $4::uuid AND status = $5::text AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) ) UNION ALL ( SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE seller_id = $4::uuid AND status = $5::text AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer) )) AS orders ORDER BY created_at DESC, id DESC LIMIT (SELECT $1::integer);

-- ListPayouts (messages: 1, statements: 1)
-- 1
SELECT id, seller_id, amount, currency, status, destination, created_at, reference, error, reversed, sent_at, refusals, EXISTS (SELECT FROM payout_holds WHERE payout_holds.seller_id = payouts.seller_id) AS is_held FROM payouts WHERE seller_id = $1::uuid AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $4::integer);

-- ListPayouts: everyone's (messages: 1, statements: 1)
-- 1
SELECT id, seller_id, amount, currency, status, destination, created_at, reference, error, reversed, sent_at, refusals, EXISTS (SELECT FROM payout_holds WHERE payout_holds.seller_id = payouts.seller_id) AS is_held FROM payouts WHERE $1::uuid IS NULL AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $4::integer);

-- ListSellerBalanceEntries (messages: 1, statements: 1)
-- 1
SELECT entry.number, transaction.at, entry.kind, entry.amount, transaction.order_id, transaction.payout_id, transaction.message FROM ledger_entries AS entry JOIN ledger_transactions AS transaction ON transaction.id = entry.transaction_id WHERE entry.account_id = (SELECT id FROM ledger_accounts WHERE owner = $1 AND name = 'available') AND entry.number < $2 ORDER BY entry.number DESC LIMIT $3;

-- ListSellerPayouts (messages: 1, statements: 1)
-- 1
SELECT id, seller_id, amount, currency, status, destination, created_at, reference, error, reversed, sent_at, refusals, EXISTS (SELECT FROM payout_holds WHERE payout_holds.seller_id = payouts.seller_id) AS is_held FROM payouts WHERE seller_id = $1::uuid AND (created_at, id) < ($2::timestamptz, $3::uuid) ORDER BY created_at DESC, id DESC LIMIT (SELECT $4::integer);

-- PlaceOrder (messages: 7, statements: 14)
-- 1
SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked;
-- 2
BEGIN;
INSERT INTO attempts (order_id, kind, data, created_at, next_try_at) SELECT $1, $2, $3::jsonb, now, now FROM app_now() AS now RETURNING created_at;
-- 3
COMMIT;
-- 4
-- in the sandbox's database
INSERT INTO payments (order_id, reference, token, amount, currency, state, held_until, client_secret, confirms_at) VALUES ($1, $2, $3, $4, $5, $6, app_now() + $7::interval, $8, app_now() + $9::interval) ON CONFLICT DO NOTHING RETURNING reference, amount, state, client_secret;
-- 5
BEGIN;
DELETE FROM attempts WHERE order_id = $1 AND state <> 'giving_up' RETURNING app_now() AS now;
-- 6
INSERT INTO orders (id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34);
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;
-- 7
SELECT pg_advisory_unlock(hashtextextended($1, 0));

-- PlaceOrder: with a known key (messages: 1, statements: 1)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);

-- PlaceOrder: with a new key (messages: 9, statements: 16)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked;
-- 3
BEGIN;
INSERT INTO attempts (order_id, kind, data, created_at, next_try_at) SELECT $1, $2, $3::jsonb, now, now FROM app_now() AS now RETURNING created_at;
-- 4
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 5
COMMIT;
-- 6
-- in the sandbox's database
INSERT INTO payments (order_id, reference, token, amount, currency, state, held_until, client_secret, confirms_at) VALUES ($1, $2, $3, $4, $5, $6, app_now() + $7::interval, $8, app_now() + $9::interval) ON CONFLICT DO NOTHING RETURNING reference, amount, state, client_secret;
-- 7
BEGIN;
DELETE FROM attempts WHERE order_id = $1 AND state <> 'giving_up' RETURNING app_now() AS now;
-- 8
INSERT INTO orders (id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34);
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
UPDATE idempotency_keys SET answer = $2 WHERE attempt = $1 AND answer IS NULL;
COMMIT;
-- 9
SELECT pg_advisory_unlock(hashtextextended($1, 0));

-- RefundOrder (messages: 8, statements: 25)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SAVEPOINT s;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 4
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT account.name, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = $1;
-- 5
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[]);
-- 6
SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = ANY ($1::uuid[]);
-- 7
INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id;
-- 8
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
RELEASE SAVEPOINT s;
UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3;
COMMIT;

-- ReleasePayoutHold (messages: 4, statements: 7)
-- 1
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('payout-hold:' || $1::text, 0));
-- 2
DELETE FROM payout_holds WHERE seller_id = $1 RETURNING seller_id;
-- 3
SELECT id FROM payouts WHERE seller_id = $1 AND status = 'PENDING' ORDER BY created_at, id;
-- 4
UPDATE outbox SET next_attempt_at = app_now() WHERE topic = $1 AND key = $2 AND parked_at IS NULL AND next_attempt_at > app_now();
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
COMMIT;

-- RequestPayout (messages: 12, statements: 23)
-- 1
SELECT digest, attempt, answer, etag FROM idempotency_keys WHERE caller = $1 AND scope = $2 AND key = $3 AND (answer IS NULL OR created_at > app_now() - $4::interval);
-- 2
BEGIN;
INSERT INTO idempotency_keys AS known (caller, scope, key, digest, attempt, created_at) VALUES ($1, $2, $3, $4, $5, app_now()) ON CONFLICT (caller, scope, key) DO UPDATE SET digest = excluded.digest, attempt = excluded.attempt, answer = NULL, etag = '', created_at = excluded.created_at WHERE known.answer IS NOT NULL AND known.created_at <= app_now() - $6::interval RETURNING key;
-- 3
SAVEPOINT s;
SELECT pg_advisory_xact_lock_shared(hashtextextended('payout-hold:' || $1::text, 0));
-- 4
SELECT reason, since FROM payout_holds WHERE seller_id = $1;
-- 5
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT destination FROM payout_accounts WHERE seller_id = $1;
-- 6
SELECT account.name, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = $1;
-- 7
SELECT app_now() AS now;
-- 8
INSERT INTO "payouts" ("id", "seller_id", "amount", "currency", "status", "destination", "reference", "error", "created_at", "sent_at", "refusals", "updated_at", "reversed") VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING "payouts"."id";
-- 9
INSERT INTO outbox (topic, key, version, payload, created_at, next_attempt_at) SELECT $1, $2, $3, $4::jsonb, now, now FROM app_now() AS now;
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[]);
-- 10
SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = ANY ($1::uuid[]);
-- 11
INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id;
-- 12
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
RELEASE SAVEPOINT s;
UPDATE idempotency_keys SET answer = $4, etag = $5 WHERE caller = $1 AND scope = $2 AND key = $3;
COMMIT;

-- ResolveOrder (messages: 5, statements: 17)
-- 1
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
INSERT INTO ledger_accounts (owner, name) SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING;
SELECT id FROM ledger_accounts WHERE owner = $1 ORDER BY id FOR UPDATE;
SELECT id, owner, name FROM ledger_accounts WHERE owner IS NULL OR owner = ANY ($1::uuid[]);
-- 3
SELECT account.id, last.number, last.balance FROM ledger_accounts AS account CROSS JOIN LATERAL ( SELECT number, balance FROM ledger_entries WHERE account_id = account.id ORDER BY number DESC LIMIT 1 ) AS last WHERE account.owner = ANY ($1::uuid[]);
-- 4
INSERT INTO ledger_transactions (reference, order_id, payout_id, adjustment_id, message, at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id;
-- 5
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
INSERT INTO ledger_entries (transaction_id, account_id, amount, kind, number, balance_before, balance) VALUES ($1, $2, $3, $4, $5, $6, $7);
COMMIT;

-- ReviseOrder (messages: 2, statements: 7)
-- 1
BEGIN;
WITH locked AS (SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of FROM orders WHERE id = $1 FOR UPDATE) SELECT *, app_now() AS now FROM locked;
-- 2
UPDATE orders SET version = $2, status = $3, buyer_id = $4, seller_id = $5, gig_id = $6, gig_title = $7, package_id = $8, package_title = $9, price = $10, currency = $11, delivery_days = $12, revisions_left = $13, requirements = $14, payment_method = $15, due_at = $16, first_delivered_at = $17, last_delivered_at = $18, created_at = $19, updated_at = $20, payment_status = $21, payment_reference = $22, capture_before = $23, refund_due = $24, refunded = $25, charged_back = $26, commission_percent = $27, platform_refund = $28, fees = $29, postings = $30, chargeback_amount = $31, chargeback_state = $32, evidence_due_by = $33, reminded_of = $34 WHERE id = $1;
INSERT INTO order_events (order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
INSERT INTO events (id, at, type, order_id, version, buyer_id, seller_id, subject) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);
SELECT add_webhook_deliveries($1, $2, $3, $4);
COMMIT;

-- SetPayoutAccount (messages: 1, statements: 1)
-- 1
INSERT INTO payout_accounts (seller_id, destination, updated_at) VALUES ($1, $2, app_now()) ON CONFLICT (seller_id) DO UPDATE SET destination = excluded.destination, updated_at = excluded.updated_at;

-- SetPayoutHold (messages: 3, statements: 4)
-- 1
BEGIN;
SELECT pg_advisory_xact_lock(hashtextextended('payout-hold:' || $1::text, 0));
-- 2
INSERT INTO payout_holds (seller_id, reason, admin_id, since) VALUES ($1, $2, $3, app_now()) ON CONFLICT (seller_id) DO UPDATE SET reason = excluded.reason, admin_id = excluded.admin_id RETURNING reason, since;
-- 3
COMMIT;
