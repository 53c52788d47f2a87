with invoices as (

    select * from {{ ref("int_invoices_converted") }}

),

payments as (

    select * from {{ ref("int_payments_matched") }}

),

-- Money of another currency than the bill's is compared in the reporting currency only.
paid as (

    select
        payments.invoice_key,
        coalesce(sum(payments.payment_amount) filter (where payments.payment_amount > 0), 0)
            as receipt_amount,
        coalesce(-sum(payments.payment_amount) filter (where payments.payment_amount < 0), 0)
            as refund_amount,
        coalesce(
            sum(payments.payment_native_amount) filter (where payments.payment_native_amount > 0),
            0
        ) as receipt_native_amount,
        coalesce(
            -sum(payments.payment_native_amount) filter (where payments.payment_native_amount < 0),
            0
        ) as refund_native_amount,
        count(*) filter (where payments.payment_native_amount > 0) as receipt_count,
        count(*) filter (where payments.currency_code <> invoices.currency_code)
            as foreign_payment_count
    from payments
    inner join invoices on payments.invoice_key = invoices.invoice_key
    group by payments.invoice_key

),

told as (

    select count(*) > 0 as has_payments
    from payments

),

settled as (

    select
        invoices.*,
        invoices.is_deleted
        or invoices.status in ('cancelled', 'replaced') as is_void,
        invoices.status in ('paid', 'paid_in_advance')
        and coalesce(paid.receipt_count, 0) = 0 as is_only_declared_paid,
        -- amoCRM says "paid in part" and never how much
        invoices.status = 'partially_paid'
        and coalesce(paid.receipt_count, 0) = 0 as is_only_declared_part,
        -- a list of bills that says nothing of them, beside no payment at all
        invoices.status = 'unknown' and not told.has_payments as is_untold,
        coalesce(paid.receipt_amount, 0) as receipt_amount,
        coalesce(paid.refund_amount, 0) as refund_amount,
        case
            when paid.foreign_payment_count > 0
                then invoices.invoice_amount - paid.receipt_amount
            else
                {{ at_rate(
                    "(invoices.invoice_native_amount - coalesce(paid.receipt_native_amount, 0))",
                    "invoices.rate",
                ) }}
        end as unpaid_amount,
        case
            when paid.foreign_payment_count > 0 then paid.refund_amount
            else {{ at_rate("coalesce(paid.refund_native_amount, 0)", "invoices.rate") }}
        end as refund_at_issue_amount
    from invoices
    cross join told
    left join paid on invoices.invoice_key = paid.invoice_key

),

-- A refund gives back first what was paid too much; what it takes beyond that is no debt again.
owed as (

    select
        settled.*,
        case
            when settled.is_void or settled.is_only_declared_paid then 0
            when settled.unpaid_amount >= 0 then settled.unpaid_amount
            else least(0, settled.unpaid_amount + settled.refund_at_issue_amount)
        end as owed_amount
    from settled

),

-- Receipts that name a deal and fit none of its bills; where the CRM tells of money of that deal
-- too, they may be the same and pay nothing here.
deal_receipts as (

    select
        deal_key,
        sum(payment_amount) filter (where invoice_key is null and payment_amount > 0)
            as receipt_amount
    from payments
    where deal_key is not null
    group by deal_key
    having count(*) filter (where match_method = 'invoice_status') = 0

),

-- They pay first the bills that are called paid and have no receipt, then the oldest.
claims as (

    select
        owed.invoice_key,
        owed.is_only_declared_paid,
        deal_receipts.receipt_amount,
        case
            when owed.is_only_declared_paid then owed.invoice_amount
            else owed.owed_amount
        end as claim_amount,
        row_number() over (
            partition by owed.deal_key
            order by
                owed.is_only_declared_paid desc,
                owed.issued_at asc,
                owed.invoice_key asc
        ) as place,
        owed.deal_key
    from owed
    inner join deal_receipts on owed.deal_key = deal_receipts.deal_key
    where
        deal_receipts.receipt_amount is not null
        and not owed.is_void
        and (owed.is_only_declared_paid or owed.owed_amount > 0)

),

spread as (

    select
        claims.invoice_key,
        greatest(
            0,
            least(
                claims.claim_amount,
                claims.receipt_amount - coalesce(
                    sum(claims.claim_amount) over (
                        partition by claims.deal_key
                        order by claims.place
                        rows between unbounded preceding and 1 preceding
                    ),
                    0
                )
            )
        ) as spread_amount
    from claims
    -- what is called paid counts as paid in full already
    qualify not claims.is_only_declared_paid

),

applied as (

    select
        owed.*,
        coalesce(spread.spread_amount, 0) as spread_amount,
        owed.is_only_declared_part
        and coalesce(spread.spread_amount, 0) = 0 as is_part_unknown
    from owed
    left join spread on owed.invoice_key = spread.invoice_key

),

final as (

    select
        applied.invoice_key,
        applied.deal_key,
        applied.invoice_number,
        applied.issued_at,
        applied.due_at,
        applied.status,
        applied.invoice_amount,
        cast(
            case
                when applied.is_part_unknown or applied.is_untold then null
                when applied.is_only_declared_paid and not applied.is_void
                    then applied.invoice_amount
                else applied.receipt_amount + applied.spread_amount
            end - applied.refund_amount as decimal(18, 2)
        ) as paid_amount,
        cast(applied.refund_amount as decimal(18, 2)) as refunded_amount,
        cast(
            case
                when not applied.is_untold or applied.is_void
                    then applied.owed_amount - applied.spread_amount
            end as decimal(18, 2)
        ) as balance_amount,
        applied.is_part_unknown and not applied.is_void as is_balance_upper_bound,
        applied.invoice_native_amount,
        applied.currency_code,
        applied.is_deleted
    from applied

)

select * from final
