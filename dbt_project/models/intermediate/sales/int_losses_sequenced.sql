with moves as (

    select * from {{ ref("int_stage_changes_sequenced") }}

),

-- Only what may change the outcome: the steps between open stages are the many.
turns as (

    select
        moves.deal_key,
        moves.transition_number,
        moves.transitioned_at,
        moves.from_stage_key,
        moves.stated_outcome,
        moves.sales_rep_key,
        moves.change_channel
    from moves
    where
        moves.stated_outcome in ('won', 'lost')
        or (
            moves.stated_outcome = 'open'
            and moves.direction in ('reopen', 'pipeline_move')
        )

),

compared as (

    select
        turns.*,
        lag(turns.stated_outcome) over (
            partition by turns.deal_key order by turns.transition_number
        ) as previous_outcome,
        max(
            case
                when turns.stated_outcome <> 'lost' then turns.transition_number
            end
        ) over (partition by turns.deal_key) as last_other_number
    from turns

),

-- Money that comes back after a sale is no rejection, nor is one loss stage after another.
losses as (

    select compared.*
    from compared
    where
        compared.stated_outcome = 'lost'
        and coalesce(compared.previous_outcome, 'open') = 'open'

),

final as (

    select
        losses.deal_key,
        row_number() over (
            partition by losses.deal_key order by losses.transition_number
        ) as loss_number,
        losses.transitioned_at as rejected_at,
        losses.from_stage_key,
        losses.sales_rep_key,
        losses.change_channel,
        coalesce(losses.transition_number < losses.last_other_number, false)
            as is_superseded,
        row_number() over (
            partition by losses.deal_key order by losses.transition_number desc
        ) = 1 as is_last_loss
    from losses

)

select * from final
