-- The same morning in the payment service: 3,000 refunds.
USE pay;
SELECT count(*) DIV 3000 INTO @step FROM payments;
UPDATE payments SET status = 'chargeback', updated_at = current_timestamp(6)
WHERE payment_id <= @step * 3000 AND payment_id % @step = 0;
