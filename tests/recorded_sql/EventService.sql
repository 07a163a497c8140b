-- ListEvents (messages: 3, statements: 3)
-- 1
SELECT EXISTS (SELECT FROM events WHERE position IS NULL) AS has_new, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest;
-- 2
SELECT coalesce(max(position), 0) AS position FROM events;
-- 3
SELECT position, id, at, type, order_id, payout_id, offer_id, subject, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = events.message_id ) AS message FROM events WHERE position > $1 AND NOT is_internal ORDER BY position LIMIT (SELECT $2::integer);

-- Watch (messages: 2, statements: 2)
-- 1
SELECT EXISTS (SELECT FROM events WHERE position IS NULL) AS has_new, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest;
-- 2
SELECT coalesce(max(position), 0) AS position FROM events;

-- Watch: resumed (messages: 4, statements: 4)
-- 1
SELECT EXISTS (SELECT FROM events WHERE position IS NULL) AS has_new, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest;
-- 2
SELECT coalesce(max(position), 0) AS position FROM events;
-- 3
SELECT at < app_now() - $2::interval AS is_old FROM events WHERE position > $1 ORDER BY position LIMIT 1;
-- 4
SELECT events.*, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = events.message_id ) AS sent, history.* FROM (( SELECT position, order_id, version, message_id, offer_id, buyer_id, seller_id, reader_id, is_internal, CASE WHEN conversation_id IS NOT NULL THEN subject END AS subject FROM events WHERE buyer_id = $1 AND position > $2 AND payout_id IS NULL AND (reader_id IS NULL OR reader_id = $1) ORDER BY position LIMIT 500 ) UNION ALL ( SELECT position, order_id, version, message_id, offer_id, buyer_id, seller_id, reader_id, is_internal, CASE WHEN conversation_id IS NOT NULL THEN subject END AS subject FROM events WHERE seller_id = $1 AND position > $2 AND payout_id IS NULL AND (reader_id IS NULL OR reader_id = $1) ORDER BY position LIMIT 500 ) ORDER BY position LIMIT 500) AS events LEFT JOIN LATERAL ( SELECT at, by, action, came_from, went_to, message, amount, paid_by, is_reminder, CASE WHEN action = 'deliver' THEN ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM delivery_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.order_id = order_events.order_id AND sent.version = order_events.version ) END AS files FROM order_events WHERE order_events.order_id = events.order_id AND order_events.version = events.version LIMIT 1 ) AS history ON true ORDER BY position;

-- WatchOrder (messages: 2, statements: 2)
-- 1
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, CASE WHEN orders.has_lines THEN ( SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position) FROM order_lines WHERE order_id = orders.id ) END AS lines , (SELECT app_now()) AS now FROM orders WHERE id = $1;
-- 2
SELECT order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder, CASE WHEN action = 'deliver' THEN ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM delivery_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.order_id = order_events.order_id AND sent.version = order_events.version ) END AS files FROM order_events WHERE order_id = $1 AND version > $2 ORDER BY version;

-- WatchOrder: resumed (messages: 2, statements: 2)
-- 1
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, CASE WHEN orders.has_lines THEN ( SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position) FROM order_lines WHERE order_id = orders.id ) END AS lines , (SELECT app_now()) AS now FROM orders WHERE id = $1;
-- 2
SELECT order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder, CASE WHEN action = 'deliver' THEN ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM delivery_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.order_id = order_events.order_id AND sent.version = order_events.version ) END AS files FROM order_events WHERE order_id = $1 AND version > $2 ORDER BY version;

-- WatchOrderSse: resumed (messages: 2, statements: 2)
-- 1
SELECT id, version, status, buyer_id, seller_id, gig_id, gig_title, package_id, package_title, price, currency, delivery_days, revisions_left, requirements, payment_method, due_at, first_delivered_at, last_delivered_at, created_at, updated_at, payment_status, payment_reference, capture_before, refund_due, refunded, charged_back, commission_percent, platform_refund, fees, postings, chargeback_amount, chargeback_state, evidence_due_by, reminded_of, extension_days, extension_message, extension_at, extended_days, offer_id, CASE WHEN orders.has_lines THEN ( SELECT json_agg(json_build_array(title, unit_price::text, quantity) ORDER BY position) FROM order_lines WHERE order_id = orders.id ) END AS lines , (SELECT app_now()) AS now FROM orders WHERE id = $1;
-- 2
SELECT order_id, version, at, by, action, came_from, went_to, message, amount, paid_by, is_reminder, CASE WHEN action = 'deliver' THEN ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM delivery_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.order_id = order_events.order_id AND sent.version = order_events.version ) END AS files FROM order_events WHERE order_id = $1 AND version > $2 ORDER BY version;

-- WatchSse: resumed (messages: 4, statements: 4)
-- 1
SELECT EXISTS (SELECT FROM events WHERE position IS NULL) AS has_new, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest;
-- 2
SELECT coalesce(max(position), 0) AS position FROM events;
-- 3
SELECT at < app_now() - $2::interval AS is_old FROM events WHERE position > $1 ORDER BY position LIMIT 1;
-- 4
SELECT events.*, ( SELECT json_build_object( 'id', messages.id, 'conversation_id', messages.conversation_id, 'number', messages.number, 'from_id', messages.from_id, 'username', people.username, 'text', messages.text, 'at', messages.at, 'starter_wrote', messages.starter_wrote, 'owner_wrote', messages.owner_wrote, 'order_id', messages.order_id, 'offer_id', messages.offer_id, 'is_removed', messages.is_removed, 'files', ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM message_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.message_id = messages.id ) ) FROM messages LEFT JOIN people ON people.id = messages.from_id WHERE messages.id = events.message_id ) AS sent, history.* FROM (( SELECT position, order_id, version, message_id, offer_id, buyer_id, seller_id, reader_id, is_internal, CASE WHEN conversation_id IS NOT NULL THEN subject END AS subject FROM events WHERE buyer_id = $1 AND position > $2 AND payout_id IS NULL AND (reader_id IS NULL OR reader_id = $1) ORDER BY position LIMIT 500 ) UNION ALL ( SELECT position, order_id, version, message_id, offer_id, buyer_id, seller_id, reader_id, is_internal, CASE WHEN conversation_id IS NOT NULL THEN subject END AS subject FROM events WHERE seller_id = $1 AND position > $2 AND payout_id IS NULL AND (reader_id IS NULL OR reader_id = $1) ORDER BY position LIMIT 500 ) ORDER BY position LIMIT 500) AS events LEFT JOIN LATERAL ( SELECT at, by, action, came_from, went_to, message, amount, paid_by, is_reminder, CASE WHEN action = 'deliver' THEN ( SELECT json_agg(json_build_array(files.id, files.name, files.size, files.type) ORDER BY sent.position) FROM delivery_files AS sent JOIN files ON files.id = sent.file_id WHERE sent.order_id = order_events.order_id AND sent.version = order_events.version ) END AS files FROM order_events WHERE order_events.order_id = events.order_id AND order_events.version = events.version LIMIT 1 ) AS history ON true ORDER BY position;
