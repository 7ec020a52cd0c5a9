SELECT outbox.create_contract('{name}', view => 'canonical.{name}_v1', source => 'legacy.{name}',
    key => '{order_id}', aggregate_type => 'order');
SELECT outbox.create_event_type('{event_type}', contract => '{name}', emit => 'created', topic => '{topic}');
SELECT outbox.enable('{name}');
